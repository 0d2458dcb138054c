"""Send records to the audit store: which are next, in which messages, and what must be repeated."""
