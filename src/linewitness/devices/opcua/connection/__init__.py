"""One secured connection to a server, within limits."""
