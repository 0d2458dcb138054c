"""A unit's device history record: what was asked of it, what met it, and what is in it."""
