"""The written table of drivers, and those that other distributions add by entry points."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Final

from linewitness.devices.modbus.spec import MODBUS
from linewitness.devices.mt_sics.spec import MT_SICS
from linewitness.devices.opcua.spec import OPCUA
from linewitness.devices.open_protocol.spec import OPEN_PROTOCOL
from linewitness.devices.scanner.spec import SCANNER
from linewitness.devices.spec import IMPORT_FAILURES, DriverSpec, DriverUnusable, unusable

#: To add a driver here, add its folder and its constant; a distribution of its own needs no change here.
BUNDLED: Final[tuple[DriverSpec, ...]] = (OPCUA, MODBUS, OPEN_PROTOCOL, SCANNER, MT_SICS)
#: An entry point of this group has the driver's name, and its value is `module:CONSTANT`, a DriverSpec.
GROUP: Final = "linewitness.drivers"


def find(name: str) -> DriverSpec | None:
    """Return a driver by its name in the YAML, or None where there is none.

    DriverUnusable if another distribution's cannot be loaded, or if two of them use the name.
    """
    for spec in BUNDLED:
        if spec.name == name:
            return spec
    added = _added().select(name=name)
    if len(added) > 1:
        raise unusable(name, " and ".join(sorted(map(_distribution, added))), "both use this name")
    return next((_loaded(entry) for entry in added), None)


def known(name: str) -> DriverSpec:
    """Return the driver of options that exist; DriverUnusable as in `find`."""
    spec = find(name)
    if spec is None:
        raise DriverUnusable(f"there is no driver {name!r}", hint=f"drivers: {', '.join(names())}")
    return spec


def title_of(name: str) -> str:
    """Return a driver's name for people; the name in the YAML where its package is not there (any more)."""
    try:
        spec = find(name)
    except DriverUnusable:
        return name
    return name if spec is None else spec.title


def names() -> list[str]:
    """Return the names of all drivers, the bundled ones first; nothing is loaded."""
    bundled = [spec.name for spec in BUNDLED]
    return bundled + sorted(_added().names - set(bundled))


def usable() -> Iterator[DriverSpec | DriverUnusable]:
    """Yield every driver, or why it cannot be loaded."""
    for name in names():
        try:
            yield known(name)
        except DriverUnusable as error:
            yield error


def _added() -> EntryPoints:
    return entry_points(group=GROUP)


def _loaded(entry: EntryPoint) -> DriverSpec:
    distribution = _distribution(entry)
    try:
        spec = entry.load()
    except IMPORT_FAILURES as error:
        raise unusable(entry.name, distribution, f"{type(error).__name__}: {error}") from error
    if not isinstance(spec, DriverSpec) or spec.name != entry.name:
        raise unusable(entry.name, distribution, f"{entry.value} is not the DriverSpec of {entry.name!r}")
    return replace(spec, distribution=distribution)


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "of an unknown name"
