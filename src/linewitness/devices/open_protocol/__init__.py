"""Tightening controllers over Open Protocol: every result once, or a gap that names what is missing."""

from linewitness.devices.open_protocol.driver import OpenProtocolDriver
from linewitness.devices.open_protocol.options import OpenProtocolOptions

__all__ = ["OpenProtocolDriver", "OpenProtocolOptions"]
