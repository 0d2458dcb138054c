"""Put a line on a Debian box, and take it off again without its evidence."""
