"""What keeps a line from its work, in words: of the line, and of each device."""
