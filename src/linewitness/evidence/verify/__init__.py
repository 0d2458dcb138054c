"""What an outsider finds: streams, selections of records, and streams whose older records were pruned."""
