"""What `check` says of the lists that a YAML names: what is wrong with them, and what is likely a mistake."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from linewitness.config.lists.reading import ListReading, examine_listing
from linewitness.config.models import Config
from linewitness.config.problems import (
    ConfigurationErrors,
    ConfigurationProblem,
    SourcePosition,
    did_you_mean,
)
from linewitness.stations.lists.book import ListName
from linewitness.stations.lists.listing import MAX_LIST_BYTES, Counting, Listing
from linewitness.stations.lists.options import ListOptions


@dataclass(frozen=True, slots=True)
class ExaminedLists:
    """What the files of all lists hold, what is wrong with them, and what is doubtful."""

    listings: tuple[Listing, ...]
    problems: tuple[ConfigurationProblem, ...]
    doubts: tuple[ConfigurationProblem, ...]

    @property
    def summary(self) -> str:
        """What the lists come to, in words; nothing where there are none."""
        return "".join(f", {len(each.entries):,} {each.name}" for each in self.listings)


def examine_lists(config: Config, *, now_ns: int) -> ExaminedLists:
    """Read the lists that are there; a file that is missing is found by `missing_files`."""
    listings: list[Listing] = []
    problems: list[ConfigurationProblem] = []
    doubts: list[ConfigurationProblem] = []
    for name, options in config.lists.named.items():
        if not options.file.exists():
            continue
        try:
            reading = examine_file(name, options, now_ns)
        except ConfigurationErrors as errors:
            problems += errors.problems
            continue
        listings.append(reading.listing)
        doubts += _age(name, options, reading.listing, now_ns)
        doubts += _strangers(name, reading.stations, [station.id for station in config.stations])
    return ExaminedLists(tuple(listings), tuple(problems), tuple(doubts))


def examine_file(name: ListName, options: ListOptions, now_ns: int) -> ListReading:
    """Return what the file of a list holds; ConfigurationErrors says what is wrong."""
    try:
        with options.file.open("rb") as file:
            data = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        place = SourcePosition(file=str(options.file))
        problem = ConfigurationProblem(place, f"lists.{name}", what, "check the path")
        raise ConfigurationErrors(options.file, [problem]) from None
    return examine_listing(name, options, data, now_ns)


def _age(
    name: ListName, options: ListOptions, listing: Listing, now_ns: int
) -> Iterator[ConfigurationProblem]:
    as_of_ns = options.file.stat().st_mtime_ns if listing.issued_ns is None else listing.issued_ns
    state = Counting(options, listing, as_of_ns).state
    if state.is_stale(now_ns):
        what = f"the list of {name} is {state.age_s(now_ns) / 3600:,.0f} h old and does not count"
        hint = f"lists.{name}.max_age_h is {options.max_age_h:g}: let its owner issue it again"
        yield ConfigurationProblem(SourcePosition(file=str(options.file)), "", what, hint)


def _strangers(
    name: ListName, named: Mapping[str, SourcePosition], known: Iterable[str]
) -> Iterator[ConfigurationProblem]:
    """Yield that stations of a list are none of this line: of another one, or mistyped."""
    stations = list(known)
    unknown = [station for station in named if station not in stations]
    if unknown:
        first, *others = unknown
        what = f"the list of {name} names {first!r}, which is no station of this line"
        what += f"; {len(others)} more like it" if others else ""
        hint = did_you_mean(first, stations) or "leave it if it is a station of another line"
        yield ConfigurationProblem(named[first], "", what, hint)
