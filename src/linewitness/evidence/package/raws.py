"""Choose the devices' own bytes that a package brings, and read those that a gateway exported.

docs/format.md, section 11.3.2.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from linewitness.base.errors import ConfigurationError
from linewitness.evidence.format.raw import MAX_LINE, MalformedRaw, RawTelegram, names_bytes
from linewitness.evidence.format.record import unit_of
from linewitness.evidence.package.build import CannotPack
from linewitness.evidence.package.raw_check import Members, naming
from linewitness.evidence.package.telegram_text import telegram_text

#: What a gateway exports beside records.
RAW_SUFFIX: Final = ".raws"
#: Decisions about a unit: what caused them may be a telegram of another one.
DECISIONS: Final = frozenset(
    ("unit.left", "gate.closed", "gate.opened", "requirement.changed", "exception.raised")
)

Find = Callable[[Members], RawTelegram | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawChoice:
    """Which bytes a package brings: those that `find` has of a record, where it may have them.

    With `of_units`, only such as can name no other unit than that of their record.
    """

    find: Find
    of_units: bool

    def of(self, members: Members) -> RawTelegram | None:
        """Return the bytes of a parsed record, or None; CannotPack if they are not those that it names."""
        if not names_bytes(members["context"]):
            return None
        if self.of_units and not _is_of_its_unit(members):
            return None
        found = self.find(members)
        if found is not None and not found.is_named_in(members["context"]):
            raise CannotPack(
                f"the device's own bytes of record {found.sequence_no} are not those that it names",
                hint="name the file that was exported with these records; or leave --raw out",
            )
        return found if found is None or len(found.line()) <= MAX_LINE else None

    def lines(self, records: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the lines for these records."""
        for members in naming(records):
            if (found := self.of(members)) is not None:
                yield found.line()

    def text(self, members: Members) -> str | None:
        """Return the bytes of a parsed record for people."""
        found = self.of(members)
        return None if found is None else telegram_text(found.data)


def _is_of_its_unit(members: Members) -> bool:
    """Return whether what a record is made of is about the record's unit, and was understood.

    A result that could not be decoded belongs to the unit at the station, and may name another one.
    """
    if unit_of(members) is None or members["kind"] in DECISIONS:
        return False
    return not any(change["field"] == "decoded" and change["after"] is False for change in members["changes"])


class RawFile:
    """Bytes that a gateway exported beside records (`NAME.raws`), found by the number of their record."""

    def __init__(self, path: Path) -> None:
        """Read the file once; ConfigurationError if it is none of ours."""
        self._path = path
        self._places: dict[int, int] = {}
        try:
            with path.open("rb") as file:
                at = 0
                for line in file:
                    self._places[RawTelegram.parse(line.rstrip(b"\n")).sequence_no] = at
                    at += len(line)
        except (OSError, MalformedRaw) as error:
            raise ConfigurationError(
                f"{path} is no file of devices' bytes: {error}",
                hint="`linewitness export LINE --raw --ndjson -o NAME.ndjson` writes one, NAME.raws",
            ) from None

    def find(self, members: Members) -> RawTelegram | None:
        """Return the bytes of a parsed record, or None."""
        place = self._places.get(members["sequence_no"])
        if place is None:
            return None
        with self._path.open("rb") as file:
            file.seek(place)
            return RawTelegram.parse(file.readline().rstrip(b"\n"))
