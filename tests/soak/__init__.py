"""The soak: one line with all drivers, an hour or more of random faults, and what memory and files did."""
