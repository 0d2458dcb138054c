"""Which unit is here, how that is known, and what it has had."""
