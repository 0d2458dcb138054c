"""The whole way, shown once: simulated devices, real processes, an outage, a crash and a forgery."""
