"""A simulated assembly line: settings, people with their mistakes, what really happened, and records."""
