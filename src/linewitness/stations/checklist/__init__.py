"""What a unit needs at a station, and how far it is."""
