"""One list as its file says it, what differs between two of them, and the book that they make up."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from linewitness.evidence.format.record import Change
from linewitness.stations.lists.book import NO_LISTS, ListBook, ListName, ListState, Lot
from linewitness.stations.lists.options import ListOptions, LotListOptions

#: Bytes of one list's file.
MAX_LIST_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list as read from its file: `entries` are what `ListBook` has of this name.

    `digest` is that of the whole file, `issued_ns` the Unix time at which its owner says to have issued it.
    `signer` is the name of the key whose signature was checked; empty where none was demanded.
    """

    name: ListName
    digest: str
    entries: Mapping[Any, Any]
    issued_ns: int | None = None
    signer: str = ""


@dataclass(frozen=True, slots=True)
class Counting:
    """A list that counts: its settings, and since when it holds (Unix time)."""

    options: ListOptions
    listing: Listing
    as_of_ns: int

    @property
    def state(self) -> ListState:
        """How good the list is."""
        hours = self.options.max_age_h
        return ListState(
            name=self.listing.name,
            digest=self.listing.digest,
            as_of_ns=self.as_of_ns,
            max_age_s=None if hours is None else hours * 3600,
            only_listed=isinstance(self.options, LotListOptions) and self.options.only_listed,
        )


def book_of(lists: Iterable[Counting]) -> ListBook:
    """Return the book of all lists that count."""
    counting = list(lists)
    entries = {each.listing.name: each.listing.entries for each in counting}
    states = {each.listing.name: each.state for each in counting}
    return replace(NO_LISTS, states=states, **entries)


def differences(name: ListName, before: Mapping[Any, Any], after: Mapping[Any, Any]) -> Iterator[Change]:
    """Yield the entries that differ; lots that are blocked now come first, for a record may not hold all."""
    keys = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
    keys.sort(key=lambda key: (not _is_blocked(after.get(key)), key))
    for key in keys:
        path = f"lists.{name}/{key if isinstance(key, str) else '/'.join(key)}"
        yield Change(path, _text(name, before.get(key)), _text(name, after.get(key)))


def count_differences(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> int:
    """Return how many entries differ."""
    return sum(before.get(key) != after.get(key) for key in before.keys() | after.keys())


def _is_blocked(entry: object) -> bool:
    return isinstance(entry, Lot) and entry.blocked


def _text(name: ListName, entry: Any) -> str | None:
    return None if entry is None else _TEXTS[name](entry)


def _lot(lot: Lot) -> str:
    parts = ["blocked" if lot.blocked else "released"]
    if lot.reason:
        parts[0] += f": {lot.reason}"
    if lot.expiry is not None:
        parts.append(f"expiry {lot.expiry.isoformat()}")
    if lot.supplier:
        parts.append(f"supplier {lot.supplier}")
    return "; ".join(parts)


def _day(day: date) -> str:
    return day.isoformat()


def _route(stations: Iterable[str]) -> str:
    return " > ".join(stations)


_TEXTS: Final[Mapping[ListName, Callable[[Any], str]]] = {
    "lots": _lot,
    "calibrations": _day,
    "qualifications": _day,
    "routes": _route,
}
