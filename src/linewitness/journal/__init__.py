"""The gateway's durable, append-only store of records: chained and signed in the commit that stores them."""
