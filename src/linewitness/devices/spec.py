"""What a driver's folder says of itself: its name, its title, and where its parts are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from linewitness.base.clock import Clock
from linewitness.base.errors import ConfigurationError
from linewitness.base.secrets import Secret
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
class Access:
    """How a secured device is reached before there is a YAML: what the command line says of it.

    `security` is in the device's own words. `trusted` is the folder of certificates that were compared.
    """

    security: str = ""
    user: str = ""
    password: Secret | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_certificate: Path | None = None
    trusted: Path | None = None

    @property
    def given(self) -> bool:
        """Whether the command line says anything of it."""
        return self != Access()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAddress:
    """Where `linewitness probe SCHEME://HOST:PORT` looks; `unit` is the device's number on a shared bus."""

    url: str
    host: str
    port: int | None
    unit: int
    access: Access = Access()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """What `linewitness probe` is told beside the device; a probe uses what it knows.

    `confirm` asks the person at the terminal, and ends the command if the answer is no; it is None where
    there is no terminal.
    """

    clock: Clock
    confirm: Callable[[str], None] | None
    nodes: Sequence[str] = ()
    scan: Sequence[str] = ()
    trust: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsPlace:
    """Where in a YAML points are pasted: columns from 0, of `points:` and of the dash before each point.

    `key` is None where the device has points already: then the dashes continue its list, and `taken` are
    the ids that it uses.
    """

    key: int | None = 4
    dash: int = 6
    taken: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowseRequest:
    """What `linewitness browse` is told; `start` is a node, `pattern` a regular expression (RE2) on paths.

    `confirm` is as in ProbeRequest.
    """

    clock: Clock
    progress: Callable[[int], None]
    start: str
    depth: int
    pattern: str
    confirm: Callable[[str], None] | None = None
    place: PointsPlace = PointsPlace()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSpec:
    """What `linewitness probe` does with a device: references to functions, as in DriverSpec.

    `output` is called with options and a ProbeRequest, asks the device once, writes nothing, and yields the
    lines to print as they become known (an async generator). `scheme` begins the addresses that are probed
    without a YAML, such as `modbus` in `modbus://10.0.0.5:502`. `options` turns a ProbeAddress into options;
    where it is empty, the driver's own options are made of host and port. `secured` says that `options` heeds
    the address's `access`.
    """

    output: str
    scheme: str
    options: str = ""
    secured: bool = False


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
        """Return the options with which an address alone is probed; ConfigurationError if they are wrong."""
        if address.access.given and not (self.probe and self.probe.secured):
            raise ConfigurationError(
                f"{self.title} knows no security, user or certificate on the command line",
                hint="leave these options out, or name a YAML that says how the device is reached",
            )
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
