"""An edge gateway that can testify."""

__version__ = "0.1.0"
