"""The protocol without a socket: framing, telegrams, layouts, the dialogue and its numbering."""
