"""The written table of drivers: one line each, imported only when the YAML asks for it."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from linewitness.devices.options import DeviceOptions


class Entry(NamedTuple):
    """Where a driver is found: `module:Class` of its options and of itself."""

    options: str
    driver: str


#: To add a driver, add its folder and one line here.
DRIVERS: Final[Mapping[str, Entry]] = MappingProxyType(
    {
        "opcua": Entry(
            "linewitness.devices.opcua.options:OpcUaOptions", "linewitness.devices.opcua.driver:OpcUaDriver"
        ),
        "modbus": Entry(
            "linewitness.devices.modbus.options:ModbusOptions",
            "linewitness.devices.modbus.driver:ModbusDriver",
        ),
        "open_protocol": Entry(
            "linewitness.devices.open_protocol.options:OpenProtocolOptions",
            "linewitness.devices.open_protocol.driver:OpenProtocolDriver",
        ),
        "scanner": Entry(
            "linewitness.devices.scanner.options:ScannerOptions",
            "linewitness.devices.scanner.driver:ScannerDriver",
        ),
        "mt_sics": Entry(
            "linewitness.devices.mt_sics.options:MtSicsOptions",
            "linewitness.devices.mt_sics.driver:MtSicsDriver",
        ),
    }
)


def options_class(driver: str) -> type[DeviceOptions]:
    """Return the class of a driver's options; KeyError for a name that is not in the table."""
    found = _load(DRIVERS[driver].options)
    if not issubclass(found, DeviceOptions):
        raise TypeError(f"{DRIVERS[driver].options} is not a DeviceOptions")
    return found


def driver_class(driver: str) -> Any:
    """Return the class of a driver, called as `cls(options, clock=clock)`; KeyError for an unknown name."""
    return _load(DRIVERS[driver].driver)


def _load(reference: str) -> type[Any]:
    module, _, name = reference.partition(":")
    found: type[Any] = getattr(import_module(module), name)
    return found
