"""The store's database: its tables, the runs in which records lie in them, and those of earlier versions."""
