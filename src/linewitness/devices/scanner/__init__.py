"""Code readers on TCP: one line is one read, and nothing is read twice by the reader itself."""

from linewitness.devices.scanner.driver import ScannerDriver as Driver
from linewitness.devices.scanner.options import ScannerOptions as Options

__all__ = ["Driver", "Options"]
