"""Results that no id of their own tells apart: what was captured of them, by content."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from linewitness.devices.open_protocol.ledger.state import ResultCore, ResultRecord

PREFIX: Final = "content/"
#: How many contents are kept; the oldest give way.
RETAINED: Final = 1000


class CapturedContent(NamedTuple):
    """What was captured: as which kind, with which core, and at which place in its job and batch."""

    kind: str
    core: ResultCore
    place: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.place}/{self.core}"

    @classmethod
    def of(cls, kind: str, record: ResultRecord) -> "CapturedContent":
        """Return what is captured of a result without an id; its place stands beside its core."""
        return cls(kind, record.entry.core._replace(place=""), record.place)

    @classmethod
    def of_conflict(cls, record: ResultRecord) -> "CapturedContent":
        """Return what is captured of a result that nobody can decide about: what tells it from others."""
        core, number = record.entry.core, "blank" if record.id_is_blank else record.entry.id
        return cls(f"{number}-conflict", core._replace(place=""), core.place or record.place)

    @classmethod
    def parse(cls, text: str) -> "CapturedContent":
        """Read what `str` wrote."""
        kind, place, core = text.split("/", 2)
        return cls(kind, ResultCore.parse(core), place)


class ContentNames:
    """Gives each content a name of its own: the kind and a number that no other has."""

    def __init__(self, remembered: Mapping[str, str]) -> None:
        """Start from what was committed."""
        found = sorted(
            (int(number), key.removeprefix(PREFIX))
            for key, number in remembered.items()
            if key.startswith(PREFIX)
        )
        self._numbers = {CapturedContent.parse(text): number for number, text in found}
        self._last = found[-1][0] if found else 0

    def name(self, content: CapturedContent) -> str | None:
        """Return the name of exactly this content, None where it was not captured."""
        number = self._numbers.get(content)
        return None if number is None else f"{content.kind}-{number}"

    def is_newest(self, content: CapturedContent) -> bool:
        """Whether nothing was captured after this content: only the newest one can be sent again."""
        return self._numbers.get(content) == self._last

    def same_work(self, core: ResultCore, kinds: frozenset[str]) -> str | None:
        """Return the name under which this very tightening was captured, None where it was not.

        Where neither has a time, the values decide.
        """
        for content, number in reversed(self._numbers.items()):
            known = content.core
            untimed = not (core.time or known.time) and known.matches(core) and known.is_for_same_unit(core)
            if content.kind in kinds and (untimed or known.is_same_work(core)):
                return f"{content.kind}-{number}"
        return None

    def add(self, content: CapturedContent) -> tuple[str, Mapping[str, str | None]]:
        """Add a content, or an equal one; return its name, and what must be remembered with it."""
        self._last += 1
        self._numbers.pop(content, None)
        self._numbers[content] = self._last
        changes: dict[str, str | None] = {f"{PREFIX}{content}": str(self._last)}
        while len(self._numbers) > RETAINED:
            oldest = next(iter(self._numbers))
            del self._numbers[oldest]
            changes[f"{PREFIX}{oldest}"] = None
        return f"{content.kind}-{self._last}", MappingProxyType(changes)
