"""What points say: before, after, limits and verdicts."""
