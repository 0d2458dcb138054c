"""How a journal stores its records and finds them again, and what it says of itself."""
