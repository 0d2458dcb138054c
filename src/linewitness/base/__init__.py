"""What every program here stands on: clocks, errors, settings, secrets, durable files."""
