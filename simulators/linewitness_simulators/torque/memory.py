"""Keep what the controller made in an append-only file, so that a crash of the simulator loses nothing."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final, Self

from linewitness_simulators.torque.model import ParameterSet, State, StoredResult


@dataclass(frozen=True, slots=True)
class Acked:
    """A client confirmed a result."""

    result_id: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The controller's memory lost every result below `below`, or all of them (None)."""

    below: int | None


Entry = State | StoredResult | Acked | Forgotten
#: What each entry is called in the file.
_NAMES: Final[Mapping[type[Entry], str]] = {
    State: "State",
    StoredResult: "Result",
    Acked: "Acked",
    Forgotten: "Forgotten",
}


class MemoryDamagedError(Exception):
    """The file is not one that this simulator wrote, or somebody changed it."""


def _encode(entries: tuple[Entry, ...]) -> bytes:
    """Return one line: what belongs together is there as a whole or not at all."""
    document = [{_NAMES[type(entry)]: asdict(entry)} for entry in entries]
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _decode(document: dict[str, dict[str, Any]]) -> Entry:
    """Return one entry of a line; ValueError, TypeError or KeyError where it is none."""
    ((name, values),) = document.items()
    match name:
        case "State":
            sizes = tuple((number, size) for number, size in values.get("batch_sizes", ()))
            return State(**{**values, "identifiers": tuple(values["identifiers"]), "batch_sizes": sizes})
        case "Result":
            pset = ParameterSet(**values["pset"])
            return StoredResult(**{**values, "identifiers": tuple(values["identifiers"]), "pset": pset})
        case "Acked":
            return Acked(**values)
        case "Forgotten":
            return Forgotten(**values)
        case _:
            raise ValueError(f"an entry of unknown kind: {name}")


class ResultMemory:
    """The controller's results and state; with a path they outlive the process.

    `made` is everything that was ever made, `stored` what the controller can still be asked for.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read back what the file holds; a line that a crash cut short was never promised to anybody."""
        self.made: list[StoredResult] = []
        self.stored: dict[int, StoredResult] = {}
        self.acked: list[int] = []
        self.state: State | None = None
        self._file: IO[bytes] | None = None
        if path is not None:
            with ExitStack() as opened:
                file = opened.enter_context(path.open("a+b"))
                for entry in self._read(file):
                    self._apply(entry)
                self._file = file
                opened.pop_all()

    @staticmethod
    def _read(file: IO[bytes]) -> Iterator[Entry]:
        file.seek(0)
        whole = 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                yield from [_decode(document) for document in json.loads(line)]
            except (ValueError, TypeError, KeyError) as error:
                raise MemoryDamagedError(f"{file.name}, byte {whole}: {error}") from error
            whole += len(line)
        file.truncate(whole)

    def _apply(self, entry: Entry) -> None:
        match entry:
            case State():
                self.state = entry
            case StoredResult():
                self.made.append(entry)
                # An id that comes again after a wrap is the newest, and the older result is gone.
                self.stored.pop(entry.id, None)
                self.stored[entry.id] = entry
            case Acked():
                self.acked.append(entry.result_id)
            case Forgotten():
                below = entry.below
                self.stored = {} if below is None else {n: r for n, r in self.stored.items() if n >= below}

    def append(self, *entries: Entry) -> None:
        """Add entries; on return they are on the disk. A crash leaves all of them or none."""
        if self._file is not None:
            self._file.write(_encode(entries))
            self._file.flush()
            os.fsync(self._file.fileno())
        for entry in entries:
            self._apply(entry)

    def newest(self) -> StoredResult | None:
        """Return the newest stored result."""
        return self.stored[next(reversed(self.stored))] if self.stored else None

    def at_or_before(self, number: int) -> StoredResult | None:
        """Return the stored result with the highest id up to `number`."""
        return (
            self.stored[best] if (best := max((n for n in self.stored if n <= number), default=0)) else None
        )

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
