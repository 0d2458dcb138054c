"""A code reader on TCP: says what it reads, and misbehaves when asked to."""

from linewitness_simulators.scanner.server import RunningScanner, ScannerSimulation, serve

__all__ = ["RunningScanner", "ScannerSimulation", "serve"]
