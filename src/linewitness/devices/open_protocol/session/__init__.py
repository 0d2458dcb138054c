"""One connection to a controller: handshake, capture, back-fill, confirmation and commands."""
