"""Evidence packages: choose records, build a package, open and verify one, and the report in it."""
