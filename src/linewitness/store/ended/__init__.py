"""The ends of streams that were handed over: verified, and kept apart from the receipted streams."""
