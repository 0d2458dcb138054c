"""Who works here, and which reasons count."""
