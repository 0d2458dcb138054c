"""Where a handed-over stream leaves the one that is held, and what it must lead to."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from sqlalchemy import Connection, select

from linewitness.base.errors import ConfigurationError
from linewitness.evidence.format import record
from linewitness.evidence.format.ended import StreamEnd, open_end, successor
from linewitness.evidence.format.note import BadNote
from linewitness.evidence.verify.chain import Broken
from linewitness.store.acceptance import Accepted, ReadLine
from linewitness.store.database import tables
from linewitness.store.database.enrolments import Enrolment, find
from linewitness.store.database.statements import statements_for
from linewitness.store.database.stored_records import StoredRecords
from linewitness.store.heads import acceptance_at

_ROOT: Final = "sha256:"


class Branch:
    """The end of a stream from its first record that is not held on, and the verifier of what follows."""

    def __init__(
        self, connection: Connection, enrolment: Enrolment, *, begins: int, first: int, held: int
    ) -> None:
        """Stand before record `first`; the package begins with record `begins`, and `held` are held."""
        self.enrolment = enrolment
        self.begins = begins
        self.first = first
        self._held = held
        self._acceptance = acceptance_at(connection, enrolment, first)

    @classmethod
    def of(
        cls, connection: Connection, enrolment: Enrolment, lines: Iterable[bytes], begins: int
    ) -> "Branch":
        """Compare the records with those that are held; ConfigurationError where some are missing between."""
        held = statements_for(connection).size(connection, enrolment.stream_id)
        if begins > held:
            raise ConfigurationError(
                f"the package begins with record {begins} of {enrolment.origin}, and the store holds {held}",
                hint="the store gave a receipt for more: restore its newest backup first",
            )
        first = begins
        records = StoredRecords(connection, enrolment.stream_id).between(begins, held)
        for line, (_, ours) in zip(lines, records, strict=False):
            if line != ours:
                break
            first += 1
        return cls(connection, enrolment, begins=begins, first=first, held=held)

    def begun_anew(self, connection: Connection) -> "Branch":
        """Return the same, before its first record."""
        return Branch(connection, self.enrolment, begins=self.begins, first=self.first, held=self._held)

    @property
    def is_fork(self) -> bool:
        """Whether the stream that is held goes on with another record."""
        return self._held > self.first

    @property
    def size(self) -> int:
        """The number of records that were verified, those before the branch included."""
        return self._acceptance.size

    def accept(self, lines: Sequence[bytes]) -> Accepted:
        """Verify the next records."""
        return self._acceptance.accept(map(ReadLine.of, lines))

    def root(self) -> bytes:
        """Return the root over all records so far."""
        return self._acceptance.root()

    @property
    def last_hash(self) -> str:
        """The hash of the last record so far."""
        return self._acceptance.last_hash


def ids_before(connection: Connection, branch: Branch, event_ids: Sequence[str]) -> int | None:
    """Return the position of an event that stands before the branch already, or None."""
    entries = tables.entries
    rows = connection.execute(
        select(entries.c.event_id).where(
            entries.c.stream_id == branch.enrolment.stream_id,
            entries.c.seq < branch.first,
            entries.c.event_id.in_(event_ids),
        )
    )
    found = set(rows.scalars())
    return next((position for position, each in enumerate(event_ids) if each in found), None)


def end_of(connection: Connection, branch: Branch, text: str) -> StreamEnd:
    """Return where the stream ended, by its log key's word or by that of its next generation.

    `Broken` where either says something else than the records; ConfigurationError where there is neither:
    then nobody can tell whether the last records are missing.
    """
    origin = branch.enrolment.origin
    here = StreamEnd(origin, branch.size, branch.root(), branch.last_hash)
    said: list[tuple[str, StreamEnd]] = []
    with suppress(BadNote):
        said.append(("its log key", open_end(text, branch.enrolment.log_vkey)))
    said += _named_by_next(connection, branch.enrolment)
    if not said:
        raise ConfigurationError(
            f"nothing shows where {origin} ended: its log key did not sign it",
            hint="enrol the next generation and run its gateway, which states the end in its record 0; "
            "then run this again",
        )
    for who, end in said:
        if end.size > here.size:
            raise Broken(here.size, f"it and what follows is missing: {who} states {end.size} records")
        if end.size < here.size:
            raise Broken(end.size, f"{who} states that the stream ended before it")
        if end != here:
            raise Broken(branch.first, f"from here on there are other records than those that {who} states")
    return here


def _named_by_next(connection: Connection, enrolment: Enrolment) -> list[tuple[str, StreamEnd]]:
    """Return the end as record 0 of the next generation states it, if that is held and does."""
    try:
        following = find(connection, enrolment.tenant, successor(enrolment.origin))
    except ValueError:
        return []
    if following is None:
        return []
    zero = StoredRecords(connection, following.stream_id).run_with(0)
    if zero is None:
        return []
    after = {change["field"]: change["after"] for change in record.parse(zero.lines[0])["changes"]}
    size, root, record_hash = after.get("size"), after.get("root"), after.get("record_hash")
    if after.get("continues") != enrolment.origin or not isinstance(size, int):
        return []
    if not isinstance(root, str) or not isinstance(record_hash, str):
        return []
    end = StreamEnd(enrolment.origin, size, bytes.fromhex(root.removeprefix(_ROOT)), record_hash)
    return [(f"record 0 of {following.origin}", end)]
