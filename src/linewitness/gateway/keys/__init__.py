"""Event keys: how long one signs, what nobody outside has seen of it, and its replacement."""
