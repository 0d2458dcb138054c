"""One running line: devices into the journal, records to the store, and maintenance."""
