"""From the rows of a list to its entries."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from linewitness.config.lists.table import ListTable, TableRow
from linewitness.config.problems import SourcePosition, did_you_mean
from linewitness.stations.lists.book import ANY_STATION, ListName, Lot

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_STATES: Final = ("released", "blocked")


@dataclass(slots=True)
class ListEntries:
    """The entries of a list by their keys, and the stations that they name, with the first place of each."""

    table: ListTable
    found: dict[Any, Any] = field(default_factory=dict)
    stations: dict[str, SourcePosition] = field(default_factory=dict)
    _lines: dict[Any, int] = field(default_factory=dict)

    def add(self, row: TableRow, column: str, key: Any, entry: Any) -> None:
        """Take an entry; one that the list has already is a mistake."""
        if key in self.found:
            shown = " ".join(map(repr, key)) if isinstance(key, tuple) else repr(key)
            hint = f"it stands in line {self._lines[key]} too: keep one of them"
            self.table.note(self.table.place(row, column), f"{shown} is listed twice", hint)
            return
        self.found[key], self._lines[key] = entry, row.line

    def day(self, row: TableRow, column: str) -> date | None:
        """Return the day of a cell, None where it is empty or wrong."""
        text = row.cells.get(column)
        if text is None:
            return None
        try:
            if _DAY.fullmatch(text):
                return date.fromisoformat(text)
        except ValueError:
            self.table.note(self.table.place(row, column), f"{text!r} is a day that no calendar has")
            return None
        self.table.note(self.table.place(row, column), f"{text!r} is not a day", "write it as 2027-12-31")
        return None

    def passes(self, row: TableRow, column: str, station: str) -> None:
        """Remember that the list names a station."""
        if station != ANY_STATION and station not in self.stations:
            self.stations[station] = self.table.place(row, column)


def entries_of(name: ListName, table: ListTable) -> ListEntries:
    """Return what the rows of a list say; mistakes are noted in the table."""
    entries = ListEntries(table)
    take = _READERS[name]
    for row in table.rows:
        take(entries, row)
        if table.is_full:
            break
    if name == "routes":
        entries.found = {product: tuple(stations) for product, stations in entries.found.items()}
    return entries


def _lot(entries: ListEntries, row: TableRow) -> None:
    cells, table = row.cells, entries.table
    status = cells["status"]
    if status not in _STATES:
        hint = did_you_mean(status, _STATES)
        table.note(table.place(row, "status"), f"{status!r} is not one of released, blocked", hint)
    lot = Lot(
        cells["part"],
        cells["lot"],
        blocked=status == "blocked",
        reason=cells.get("reason", ""),
        expiry=entries.day(row, "expiry"),
        supplier=cells.get("supplier", ""),
    )
    entries.add(row, "lot", (lot.part, lot.lot), lot)


def _calibration(entries: ListEntries, row: TableRow) -> None:
    if (due := entries.day(row, "due")) is not None:
        entries.add(row, "tool", row.cells["tool"], due)


def _qualification(entries: ListEntries, row: TableRow) -> None:
    person, station = row.cells["person"], row.cells["station"]
    entries.passes(row, "station", station)
    if (until := entries.day(row, "until")) is not None:
        entries.add(row, "person", (person, station), until)


def _route(entries: ListEntries, row: TableRow) -> None:
    product, table = row.cells["product"], entries.table
    if (station := row.cells.get("station")) is not None:
        column, steps = "station", [station]
        known = entries.found.setdefault(product, [])
    else:
        column, steps = "stations", row.cells["stations"].replace(">", " ").split()
        known = []
        entries.add(row, "product", product, known)
    if not steps:
        table.note(table.place(row, column), f"the route of {product!r} names no station")
    for step in steps:
        entries.passes(row, column, step)
        if step in known:
            what = f"the station {step!r} stands twice in the route of {product!r}"
            table.note(table.place(row, column), what, "keep one of them")
        known.append(step)


_READERS: Final[Mapping[ListName, Callable[[ListEntries, TableRow], None]]] = {
    "lots": _lot,
    "calibrations": _calibration,
    "qualifications": _qualification,
    "routes": _route,
}
