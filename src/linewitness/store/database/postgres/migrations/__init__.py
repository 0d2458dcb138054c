"""The versions of the tables in PostgreSQL; only their owner runs them."""
