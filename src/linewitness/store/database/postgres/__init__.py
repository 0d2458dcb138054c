"""A store in PostgreSQL: its roles, its tables that nobody may change, and how it is opened."""
