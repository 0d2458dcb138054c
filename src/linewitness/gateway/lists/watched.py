"""One list: its file, whether it changed, and what counts while the file is wrong or gone."""

import asyncio
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog

from linewitness.base.clock import Clock, monotonic, to_rfc3339
from linewitness.base.errors import ConfigurationError
from linewitness.base.threads import in_daemon_thread
from linewitness.gateway.lists.kept import KeptCopies, ListTaken
from linewitness.stations.lists.book import ListName
from linewitness.stations.lists.listing import MAX_LIST_BYTES, Counting, Listing, count_differences
from linewitness.stations.lists.options import ListOptions
from linewitness.status.list_rows import ListRow

#: The file is looked at so often.
LOOK_S: Final = 2.0
#: A file that was refused is read again so often: a mode, a clock or a mount may be right by now.
RETRY_S: Final = 60.0
_REFUSED: Final = "a list is refused: the last good one counts"
_OWNER: Final = (
    "let its owner correct it and replace it with `mv`; `linewitness check` says all that is wrong"
)

log = structlog.get_logger()

#: Return a list of its file's bytes at a Unix time; ConfigurationError says what is wrong with them.
ReadList = Callable[[ListName, ListOptions, bytes, int], Listing]


class FileStamp(NamedTuple):
    """What changes when a file is replaced or written; zeros where there is none."""

    mtime_ns: int = 0
    size: int = 0
    inode: int = 0

    @classmethod
    def of(cls, path: Path) -> "FileStamp":
        """Return the stamp of a file as it is now."""
        try:
            found = path.stat()
        except OSError:
            return cls()
        return cls(found.st_mtime_ns, found.st_size, found.st_ino)


@dataclass(frozen=True, slots=True)
class FoundList:
    """A list that may be taken over, with its file's bytes; None where they need not be kept any more."""

    counting: Counting
    data: bytes | None


class WatchedList:
    """One list of a running line. `counting` is what stations decide by."""

    def __init__(
        self,
        name: ListName,
        options: ListOptions,
        taken: ListTaken | None,
        *,
        read: ReadList,
        copies: KeptCopies,
        clock: Clock,
    ) -> None:
        """Take the settings, and what the journal knows of the list that was taken over last."""
        self.name = name
        self.options = options
        self.taken = taken
        #: The entries that counted last, None where that is not known.
        self.before: Any = None
        self.counting: Counting | None = None
        self.refusal = ""
        self._was_stale = False
        self._read = read
        self._copies = copies
        self._clock = clock
        self._seen = self._tried = FileStamp(-1)
        self._tried_at = float("-inf")

    async def begin(self) -> FoundList:
        """Return the list of the file, or the last good one; ConfigurationError where there is neither."""
        last = await self._last_good()
        self.before = last.listing.entries if last else None
        try:
            try:
                found = await self._from_file()
            except ConfigurationError:
                if last is not None:
                    raise
                await asyncio.sleep(LOOK_S)  # it may have been written at this moment
                found = await self._from_file()
        except ConfigurationError as error:
            if last is None:
                raise ConfigurationError(
                    f"the list of {self.name} cannot be taken, and no earlier one is kept: {error.what}",
                    hint=error.hint or _OWNER,
                ) from None
            self._refuse(error)
            return FoundList(last, None)
        return found

    async def look(self, *, at_once: bool = False) -> FoundList | None:
        """Return a list that is to be taken over, if the file has changed and is right.

        A file is read when two looks find it the same, or `at_once`: it may be written at this moment.
        """
        stamp = await in_daemon_thread(lambda: FileStamp.of(self.options.file), f"look-{self.name}")
        settled, self._seen = at_once or stamp == self._seen, stamp
        again = self.refusal and monotonic() - self._tried_at >= RETRY_S
        if not settled or not (at_once or again or stamp != self._tried):
            return None
        try:
            return await self._from_file()
        except ConfigurationError as error:
            self._refuse(error)
            return None

    def count(self, found: FoundList, taken: ListTaken) -> None:
        """Let a list count, now that the journal knows it."""
        if found.data is not None and self.refusal:
            log.info("a list is right again", list=self.name, file=str(self.options.file))
            self.refusal = ""
        self.taken, self.counting, self.before = taken, found.counting, found.counting.listing.entries

    def row(self) -> ListRow | None:
        """Return what the status page shows of the list, None before it counts."""
        if self.counting is None:
            return None
        listing, state = self.counting.listing, self.counting.state
        return ListRow(
            name=self.name,
            file=str(self.options.file),
            entries=len(listing.entries),
            digest=listing.digest,
            signer=listing.signer,
            as_of_ns=self.counting.as_of_ns,
            max_age_s=state.max_age_s,
            refusal=self.refusal,
        )

    def tell_age(self) -> None:
        """Log once that the list became too old to count."""
        now_ns = self._clock.stamp().realtime_ns
        is_stale = self.counting is not None and self.counting.state.is_stale(now_ns)
        if self.counting is not None and is_stale and not self._was_stale:
            hours = round(self.counting.state.age_s(now_ns) / 3600, 1)
            log.warning(
                "a list is too old to count", list=self.name, age_h=hours, file=str(self.options.file)
            )
        self._was_stale = is_stale

    async def _last_good(self) -> Counting | None:
        """Return the copy of the list that was taken over last; its signature is checked again."""
        taken = self.taken
        if taken is None:
            return None

        def read() -> Listing | None:
            data = self._copies.read(self.name, taken.digest)
            try:
                return None if data is None else self._read(self.name, self.options, data, self._now_ns())
            except ConfigurationError as error:
                log.warning("the last good list does not count any more", list=self.name, why=error.what)
                return None

        listing = await in_daemon_thread(read, f"copy-{self.name}")
        return Counting(self.options, listing, taken.as_of_ns) if listing else None

    async def _from_file(self) -> FoundList:
        """Return the list of the file; ConfigurationError says why it does not count."""
        self._tried_at = monotonic()
        self._tried = self._seen
        stamp, data, listing = await in_daemon_thread(self._read_file, f"list-{self.name}")
        self._tried = self._seen = stamp
        self._refuse_rollback(listing)
        as_of_ns = stamp.mtime_ns if listing.issued_ns is None else listing.issued_ns
        return FoundList(Counting(self.options, listing, as_of_ns), data)

    def _read_file(self) -> tuple[FileStamp, bytes, Listing]:
        file = self.options.file
        stamp = FileStamp.of(file)
        try:
            # Whoever opens a pipe waits for its other end.
            if not stat.S_ISREG(file.stat().st_mode):
                raise ConfigurationError(f"{file} is not a file", hint="name the CSV of the list")
            with file.open("rb") as opened:
                data = opened.read(MAX_LIST_BYTES + 1)
        except OSError as error:
            raise ConfigurationError(
                f"{file} cannot be read: {error.strerror}",
                hint="look at the path, at who writes it, and whether this service's user may read it",
            ) from None
        if FileStamp.of(file) != stamp:
            raise ConfigurationError(f"{file} changes while it is read", hint="replace it with `mv`")
        return stamp, data, self._read(self.name, self.options, data, self._now_ns())

    def _now_ns(self) -> int:
        """Return the Unix time, not before the last list: the clock may not be set yet."""
        now_ns = self._clock.stamp().realtime_ns
        return max(now_ns, self.taken.as_of_ns) if self.taken else now_ns

    def _refuse_rollback(self, listing: Listing) -> None:
        """Refuse a signed list that is older than the one that counts: somebody may have put it there."""
        taken = self.taken
        if not listing.signer or taken is None or not taken.signer or listing.digest == taken.digest:
            return
        issued, last = listing.issued_ns or 0, taken.issued_ns or 0
        counts = self.counting.listing.entries if self.counting else self.before
        same = counts is not None and not count_differences(counts, listing.entries)
        if issued < last or (issued == last and not same):
            what = "an older list" if issued < last else "another list of the same time"
            raise ConfigurationError(
                f"{self.options.file} is {what}: issued {to_rfc3339(issued)}, and the one that counts "
                f"{to_rfc3339(last)}",
                hint="let its owner issue the list again, with a later time",
            )

    def _refuse(self, error: ConfigurationError) -> None:
        first, *others = error.what.split("\n")
        words = first + (f", and {len(others)} more mistakes" if others else "")
        words += f" ({error.hint})" if error.hint else ""
        if words != self.refusal:
            log.warning(_REFUSED, list=self.name, why=words, hint=_OWNER)
        self.refusal = words
