"""What the line remembers of its units: where they were, and what is built into them."""
