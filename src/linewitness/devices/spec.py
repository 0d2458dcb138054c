"""What a driver's folder says of itself: its name, its title, and where its parts are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from linewitness.base.clock import Clock
from linewitness.base.errors import ConfigurationError
from linewitness.devices.base import Driver
from linewitness.devices.context import DriverContext
from linewitness.devices.options import DeviceOptions

#: What importing a module of somebody else, or of a library that is not there, may raise.
IMPORT_FAILURES: Final = (
    *(ImportError, SyntaxError, AttributeError, NameError),
    *(TypeError, ValueError, LookupError, OSError, RuntimeError),
)


class DriverUnusable(ConfigurationError):
    """A driver that is installed cannot be loaded; lines that do not use it are not affected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAddress:
    """Where `linewitness probe SCHEME://HOST:PORT` looks; `unit` is the device's number on a shared bus."""

    url: str
    host: str
    port: int | None
    unit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """What `linewitness probe` is told beside the device; a probe uses what it knows.

    `confirm` asks the person at the terminal, and ends the command if the answer is no.
    """

    clock: Clock
    confirm: Callable[[str], None]
    nodes: Sequence[str] = ()
    scan: Sequence[str] = ()
    trust: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowseRequest:
    """What `linewitness browse` is told; `start` is a node, `pattern` a regular expression (RE2) on paths."""

    clock: Clock
    progress: Callable[[int], None]
    start: str
    depth: int
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSpec:
    """What `linewitness probe` does with a device: references to functions, as in DriverSpec.

    `output` is called with options and a ProbeRequest, asks the device once, writes nothing, and yields the
    lines to print as they become known (an async generator). `scheme` begins the addresses that are probed
    without a YAML, such as `modbus` in `modbus://10.0.0.5:502`. `options` turns a ProbeAddress into options;
    where it is empty, the driver's own options are made of host and port.
    """

    output: str
    scheme: str
    options: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverSpec:
    """One driver. Its parts are references, `module:name`, which are loaded when a YAML asks for the driver.

    `name` is the driver's in the YAML, `title` its name for people. `options` is a DeviceOptions class,
    `driver` is called with the options and a DriverContext and returns a Driver, `explain` is called with
    the options and returns what `check --explain` prints, `browse` is awaited with options and a
    BrowseRequest and returns YAML to paste. `distribution` is set by the table.
    """

    name: str
    title: str
    options: str
    driver: str
    probe: ProbeSpec | None = None
    explain: str = ""
    browse: str = ""
    distribution: str = "linewitness"

    def options_class(self) -> type[DeviceOptions]:
        """Return the class of the driver's options; DriverUnusable if it cannot be loaded."""
        found = self.load(self.options)
        if not (isinstance(found, type) and issubclass(found, DeviceOptions)):
            raise self.unusable(f"{self.options} is not a DeviceOptions")
        return found

    def build(self, options: DeviceOptions, context: DriverContext) -> Driver:
        """Return the driver of one device; DriverUnusable if it cannot be loaded."""
        built: Driver = self.load(self.driver)(options, context)
        return built

    def probe_options(self, address: ProbeAddress) -> Any:
        """Return the options with which an address alone is probed."""
        if self.probe is not None and self.probe.options:
            return self.load(self.probe.options)(address)
        place = {"host": address.host} | ({} if address.port is None else {"port": address.port})
        return self.options_class().model_validate({"id": "probed", "driver": self.name, **place})

    def load(self, reference: str) -> Any:
        """Return what a reference names; DriverUnusable if it is not there."""
        module, _, name = reference.partition(":")
        try:
            return getattr(import_module(module), name)
        except IMPORT_FAILURES as error:
            raise self.unusable(f"{type(error).__name__}: {error}") from error

    def unusable(self, why: str) -> DriverUnusable:
        """Return the error that names the driver and who distributes it."""
        return unusable(self.name, self.distribution, why)


def unusable(name: str, distribution: str, why: str) -> DriverUnusable:
    """Return the error for a driver that cannot be loaded."""
    return DriverUnusable(
        f"the driver {name!r} of the distribution {distribution} cannot be loaded: {why}",
        hint=f"update, reinstall or remove {distribution.partition(' ')[0]}",
    )
