"""The tasks of one running line: devices into the journal, records to the store, and upkeep."""
