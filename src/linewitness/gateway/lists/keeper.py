"""All lists of a running line: take them over, put that on record, and hand them to the stations."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NoReturn

import structlog

from linewitness.base.clock import Clock, to_rfc3339
from linewitness.evidence.format.record import Change
from linewitness.gateway.lifecycle import Lifecycle
from linewitness.gateway.lists.kept import STATE, KeptCopies, ListTaken
from linewitness.gateway.lists.watched import LOOK_S, FoundList, ReadList, WatchedList
from linewitness.journal.journal import Journal
from linewitness.journal.reader import JournalReader
from linewitness.stations.lists.book import ListBook, ListName
from linewitness.stations.lists.listing import book_of, count_differences, differences
from linewitness.stations.lists.options import ListsOptions
from linewitness.status.list_rows import ListRow

log = structlog.get_logger()

#: More entries than any record holds.
_MOST_NAMED: Final = 2_000
#: Who is told of another book.
TellBook = Callable[[ListBook], None]


class ListKeeper:
    """The lists that the YAML names. A list counts only after the record that says so is durable."""

    def __init__(
        self, journal: Journal, lifecycle: Lifecycle, *, directory: Path, clock: Clock, read: ReadList
    ) -> None:
        """Take the journal and its folder, what puts lists on record, and what reads a list's file."""
        self._journal = journal
        self._lifecycle = lifecycle
        self._clock = clock
        self._read = read
        self._copies = KeptCopies(directory)
        self._lists: dict[ListName, WatchedList] = {}
        self._next: dict[ListName, WatchedList] = {}
        self._found: dict[ListName, FoundList] = {}
        self._turn = asyncio.Lock()

    async def prepare(self, options: ListsOptions) -> None:
        """Read the lists of other settings; nothing is taken over yet.

        ConfigurationError where a list is wrong or missing, and no last good one is kept.
        """
        prepared: dict[ListName, WatchedList] = {}
        found: dict[ListName, FoundList] = {}
        for name, wanted in options.named.items():
            running = self._lists.get(name)
            if running is not None and running.options == wanted:
                prepared[name] = running
                continue
            stored = await self._journal.read(partial(JournalReader.state_value, key=STATE + name))
            prepared[name] = WatchedList(
                name,
                wanted,
                ListTaken.load(stored) if stored else None,
                read=self._read,
                copies=self._copies,
                clock=self._clock,
            )
            found[name] = await prepared[name].begin()
        self._next, self._found = prepared, found

    async def take_over(self, tell: TellBook) -> None:
        """Let the lists that were prepared count, and look at once at those that are named as before."""
        async with self._turn:
            self._lists = self._next
            for name, watched in self._lists.items():
                found = self._found.pop(name, None) or await watched.look(at_once=True)
                if found is not None:
                    await self._take(watched, found)
            tell(self._book())

    async def watch(self, tell: TellBook) -> NoReturn:
        """Take over what changes, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            async with self._turn:
                for watched in self._lists.values():
                    if (found := await watched.look()) is not None:
                        await self._take(watched, found)
                        tell(self._book())
                    watched.tell_age()

    def rows(self) -> tuple[ListRow, ...]:
        """Return what the status page shows of the lists."""
        return tuple(row for watched in self._lists.values() if (row := watched.row()) is not None)

    @property
    def refusals(self) -> str:
        """Say, as the end of a sentence, which lists are refused; nothing where none is."""
        return "".join(
            f"; the list of {row.name} is refused, the last good one counts: {row.refusal}"
            for row in self.rows()
            if row.refusal
        )

    def _book(self) -> ListBook:
        return book_of(watched.counting for watched in self._lists.values() if watched.counting is not None)

    async def _take(self, watched: WatchedList, found: FoundList) -> None:
        """Keep a copy, put the list on record if it is another one, and let it count."""
        listing, last = found.counting.listing, watched.taken
        taken = ListTaken(
            digest=listing.digest,
            as_of_ns=found.counting.as_of_ns,
            issued_ns=listing.issued_ns,
            entries=len(listing.entries),
            signer=listing.signer,
        )
        if found.data is not None:
            # Crash after this: the copy is not named by the journal, and the file is read again.
            await asyncio.to_thread(self._copies.write, watched.name, found.data)
        if last is None or last.digest != taken.digest:
            await self._record(watched, found, taken)
            log.info(
                "a list was taken over", list=watched.name, entries=taken.entries, digest=taken.digest[:19]
            )
        elif last != taken:
            await self._journal.submit([], state={STATE + watched.name: taken.text()})
        # What counts until now is kept until the journal names the next one.
        await asyncio.to_thread(self._copies.tidy, watched.name, taken.digest)
        watched.count(found, taken)

    async def _record(self, watched: WatchedList, found: FoundList, taken: ListTaken) -> None:
        count, changes = 0, list[Change]()
        if watched.taken is not None and watched.before is not None:
            before, after = watched.before, found.counting.listing.entries
            # Of a hundred thousand entries, this takes a while.
            count = await asyncio.to_thread(count_differences, before, after)
            changes = await asyncio.to_thread(
                lambda: list(islice(differences(watched.name, before, after), _MOST_NAMED))
            )
        facts = [*_facts(watched.name, watched.taken, taken)]
        if watched.taken is not None:
            known = watched.before is not None
            facts.append(Change(f"lists.{watched.name}.differing", None, str(count) if known else "unknown"))
        await self._lifecycle.list_taken_over(
            watched.name, (count, changes), facts, state={STATE + watched.name: taken.text()}
        )


def _facts(name: ListName, last: ListTaken | None, taken: ListTaken) -> Iterator[Change]:
    """Yield what is on record of a list besides its entries."""
    path = f"lists.{name}"
    yield Change(f"{path}.digest", last.digest if last else None, taken.digest)
    yield Change(f"{path}.entries", last.entries if last else None, taken.entries)
    since = "issued" if taken.issued_ns is not None else "written"
    yield Change(f"{path}.{since}", to_rfc3339(last.as_of_ns) if last else None, to_rfc3339(taken.as_of_ns))
    if taken.signer or (last and last.signer):
        yield Change(f"{path}.signer", (last.signer or None) if last else None, taken.signer or None)
