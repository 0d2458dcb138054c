"""What the library's values, structures and times are to us."""
