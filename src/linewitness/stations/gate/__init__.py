"""Whether a unit is held or let go."""
