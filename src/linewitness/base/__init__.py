"""What every program uses: clocks, errors, settings, secrets, durable files, the watchdog."""
