"""Listen to PLCs over OPC UA, so that what changed, when, and how sure the server was become evidence."""

from linewitness.devices.opcua.driver import OpcUaDriver as Driver
from linewitness.devices.opcua.options import OpcUaOptions as Options

__all__ = ["Driver", "Options"]
