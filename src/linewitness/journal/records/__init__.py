"""Turn events into the next records of the chain: their bytes, their ids, and one signature a commit."""
