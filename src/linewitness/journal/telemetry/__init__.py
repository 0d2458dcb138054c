"""Signals on their way to the historian: bounded, on disk, apart from the evidence."""
