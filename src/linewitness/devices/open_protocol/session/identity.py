"""Who a controller is, and whose its results are: a lower revision says less, and nothing else."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Final

#: Stands for what a controller does not say in the name of a source.
UNKNOWN: Final = "-"
HEAD: Final = "head/"
IDENTITY: Final = "identity/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerIdentity:
    """Who the controller says it is; "" where it does not say."""

    name: str = ""
    supplier: str = ""
    serial: str = ""
    software: str = ""
    protocol: str = ""
    station: int | None = None
    station_name: str = ""
    revision: int = 1

    def source(self, device: str) -> str:
        """Return the name of a new source of its results: supplier, serial number and station.

        Where there is no serial number, the device's own id stands in for it.
        """
        station = UNKNOWN if self.station is None else str(self.station)
        return f"{self.supplier or UNKNOWN}:{self.serial or device}:{station}"

    def shown(self) -> Mapping[str, str]:
        """Return what is known, as text."""
        return MappingProxyType(
            {key: str(value) for key, value in asdict(self).items() if value not in ("", None)}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownController:
    """What is known of the controller behind a source, from all revisions in which it was met.

    `revision` is the highest of them; 0 where it is not known. `stations`: its stored results name their
    station.
    """

    supplier: str = ""
    serial: str = ""
    station: int | None = None
    revision: int = 0
    stations: bool = False

    @classmethod
    def of(cls, source: str, device: str, stored: str | None) -> "KnownController":
        """Read what is stored of a source; failing that, what its name says."""
        if stored is not None:
            return cls(**json.loads(stored))
        supplier, _, rest = source.partition(":")
        serial, _, station = rest.rpartition(":")
        return cls(
            supplier="" if supplier == UNKNOWN else supplier,
            serial="" if serial == device else serial,
            station=int(station) if station.isdecimal() else None,
        )

    def dump(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self))

    def fits(self, told: ControllerIdentity) -> bool:
        """Whether nothing that the controller tells now contradicts it."""
        pairs = ((self.supplier, told.supplier), (self.serial, told.serial), (self.station, told.station))
        return all(self._agree(mine, theirs, told.revision) for mine, theirs in pairs)

    def with_told(self, told: ControllerIdentity) -> "KnownController":
        """Return it with what the controller tells in addition."""
        return replace(
            self,
            supplier=told.supplier or self.supplier,
            serial=told.serial or self.serial,
            station=self.station if told.station is None else told.station,
            revision=max(self.revision, told.revision),
        )

    def _agree(self, mine: str | int | None, theirs: str | int | None, revision: int) -> bool:
        if theirs in ("", None) or mine == theirs:
            return True
        # What it did not tell in this revision or a higher one, it does not have.
        return mine in ("", None) and self.revision < revision


def known_controllers(remembered: Mapping[str, str], device: str) -> dict[str, KnownController]:
    """Return the sources that this device has captured before, and who they are."""
    sources = [key.removeprefix(HEAD) for key in remembered if key.startswith(HEAD)]
    return {each: KnownController.of(each, device, remembered.get(IDENTITY + each)) for each in sources}


def source_of(told: ControllerIdentity, known: Mapping[str, KnownController], last: str | None) -> str | None:
    """Return which known source this controller is; None where it is none of them.

    Where it does not tell its serial number, `last` is the source that was captured last.
    """
    fitting = [source for source, each in known.items() if each.fits(told)]
    same = [source for source in fitting if told.serial and known[source].serial == told.serial]
    if same:
        return same[0]
    if last in fitting:
        return last
    return fitting[0] if len(fitting) == 1 else None
