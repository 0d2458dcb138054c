"""Simulated devices on real sockets: for tests, for the demo, and for people who write drivers."""
