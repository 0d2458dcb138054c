"""Code readers on TCP: one line is one read, and nothing is read twice by the reader itself."""
