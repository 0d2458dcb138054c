"""The lists that others own, as rows of the status page."""

from dataclasses import dataclass
from typing import Final

from linewitness.base.clock import NS_PER_S

#: Characters of a digest that people compare.
_SHORT: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRow:
    """One list: its file, what counts, since when (Unix time), and why the file was refused, if it was."""

    name: str
    file: str
    entries: int
    digest: str
    signer: str
    as_of_ns: int
    max_age_s: float | None
    refusal: str

    @property
    def short(self) -> str:
        """The beginning of the digest."""
        return self.digest.removeprefix("sha256:")[:_SHORT]

    def age_s(self, now_ns: int) -> int:
        """Return how old the list is at a Unix time."""
        return max(0, now_ns - self.as_of_ns) // NS_PER_S

    def is_stale(self, now_ns: int) -> bool:
        """Return whether the list is too old to count."""
        return self.max_age_s is not None and now_ns - self.as_of_ns > self.max_age_s * NS_PER_S
