"""Read the lists that others own, so that each mistake has its file, line and column."""
