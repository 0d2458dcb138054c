"""Turn events into the next records of a chain: their bytes, their ids, and one signature a commit."""
