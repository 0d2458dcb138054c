"""What telegrams say: results, traces, notices and times; pure."""
