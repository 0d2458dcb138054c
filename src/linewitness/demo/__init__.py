"""The demo: simulated devices, real processes, an outage, a crash and a forgery."""
