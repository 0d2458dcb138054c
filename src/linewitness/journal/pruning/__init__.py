"""Delete records that others keep safely, so that the journal does not fill."""
