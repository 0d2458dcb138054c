"""End a stream that cannot go on, and put the next generation in its place."""
