"""Record what a production line did, and verify the record offline."""

__version__ = "0.1.0"
