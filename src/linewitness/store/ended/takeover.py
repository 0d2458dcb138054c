"""Take over the end of a stream that has ended: verify it against what we hold, keep it apart, and say so.

A takeover gives no receipt: a second cosigned root of one stream and size would contradict the first. What it
gives is a statement of another form, see `evidence/format/ended.py`.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Final

import orjson
from sqlalchemy import Connection, func, insert, select

from linewitness.base.clock import NS_PER_S, Clock, to_rfc3339
from linewitness.base.errors import ConfigurationError, EvidenceError
from linewitness.evidence.format.ended import StreamTakenOver
from linewitness.evidence.package.archive import Package
from linewitness.evidence.verify.chain import Broken, unsigned_end
from linewitness.evidence.verify.unique_ids import UniqueIds
from linewitness.store.acceptance import Accepted, peek
from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import find
from linewitness.store.database.errors import StoreError
from linewitness.store.ended.branch import Branch, end_of, ids_before
from linewitness.store.keys import Cosigner

#: Records of one transaction: the running store commits receipts between two of them.
STEP: Final = 1000


@dataclass(frozen=True, slots=True)
class TakeoverResult:
    """What was taken over, our statement as a signed note, and whether we held it before."""

    taken: StreamTakenOver
    note: str
    again: bool


def take_over(database: Database, file: Path, *, cosigner: Cosigner, clock: Clock) -> TakeoverResult:
    """Verify a package that `linewitness handover` wrote, keep what we do not hold, and return our statement.

    `Broken` names the first record that is not what it should be; ConfigurationError says what is missing.
    Nothing is stored before all is verified. A call that was cut short is finished by the next.
    """
    with Package.open(file) as package:
        if not package.is_handover:
            raise ConfigurationError(
                f"{file} is not a handover", hint="`linewitness handover` of the gateway writes one"
            )
        return _Takeover(database, package, cosigner, clock).run()


class _Takeover:
    """One package on its way into the store."""

    def __init__(self, database: Database, package: Package, cosigner: Cosigner, clock: Clock) -> None:
        self._database = database
        self._package = package
        self._cosigner = cosigner
        self._clock = clock
        self._tenant = ""

    def run(self) -> TakeoverResult:
        self._tenant = self._tenant_of_package()
        with self._database.reading(self._tenant) as connection:
            branch = self._branch(connection)
            for _ in self._verified(connection, branch):
                pass
            end = end_of(connection, branch, self._package.end())
        taken = StreamTakenOver(branch.enrolment.origin, branch.is_fork, branch.first, end.size, end.root)
        if end.size == branch.first:
            return TakeoverResult(taken, self._signed(taken), again=True)  # all of it is in the stream itself
        number, known = self._begin(branch, taken)
        if known is not None:
            return known
        self._store(branch, number, taken)
        return self._finish(number, taken)

    def _tenant_of_package(self) -> str:
        """Return whose stream the records claim to be; whether that is so is verified with them."""
        with closing(self._package.records()) as lines:
            try:
                return str(orjson.loads(next(lines, b""))["tenant_id"])
            except (ValueError, TypeError, KeyError):
                raise EvidenceError("the package does not begin with a record") from None

    def _branch(self, connection: Connection) -> Branch:
        """Return where the package leaves the stream that we hold."""
        with closing(self._package.records()) as lines:
            first = next(lines, b"")
            claim = peek(first)
            if claim is None:
                raise EvidenceError("the package does not begin with a record")
            enrolment = find(connection, self._tenant, claim.stream)
            if enrolment is None:
                raise ConfigurationError(
                    f"the stream {claim.stream} is not enrolled here",
                    hint="only streams of enrolled gateways are taken over; see `linewitness store status`",
                )
            return Branch.of(connection, enrolment, chain([first], lines), claim.sequence_no)

    def _verified(self, connection: Connection, branch: Branch) -> Iterator[Accepted]:
        """Yield the records beyond the common ones, verified, some at a time."""
        with closing(self._package.records()) as records, UniqueIds() as ids:
            lines = islice(records, branch.first - branch.begins, None)
            waiting: list[bytes] = []
            while chunk := list(islice(lines, STEP)):
                at, chunk = branch.size, waiting + chunk
                accepted = branch.accept(chunk)
                if accepted.stopped:
                    raise accepted.stopped
                found = [taken.event_id for taken in accepted.records]
                if (position := ids_before(connection, branch, found)) is not None:
                    raise Broken(at + position, "its event_id is that of an earlier record")
                ids.extend("".join(found).encode(), at)
                waiting = chunk[len(found) :]
                yield accepted
            if waiting:
                raise unsigned_end(branch.size + len(waiting), len(waiting))
            if (twice := ids.first_duplicate()) is not None:
                raise Broken(twice[0], f"its event_id is that of record {twice[1]}")

    def _begin(self, branch: Branch, taken: StreamTakenOver) -> tuple[int, TakeoverResult | None]:
        """Return the number of this handover, and what we said of it if we hold it already."""
        handovers, stream_id = tables.handovers, branch.enrolment.stream_id
        mine = (
            (handovers.c.stream_id == stream_id)
            & (handovers.c.size == taken.size)
            & (handovers.c.root == taken.root)
        )
        with self._database.writing(self._tenant) as connection:
            row = connection.execute(select(handovers).where(mine)).one_or_none()
            if row is not None:
                ends = tables.handover_ends
                end = connection.execute(select(ends).where(ends.c.handover_id == row.id)).one_or_none()
                if end is not None:
                    held = StreamTakenOver(taken.origin, bool(end.fork), row.first, row.size, row.root)
                    return row.id, TakeoverResult(held, end.note, again=True)
            if row is None:
                connection.execute(
                    insert(handovers).values(
                        stream_id=stream_id,
                        first=taken.first,
                        size=taken.size,
                        root=taken.root,
                        end=self._package.end(),
                        begun_at=to_rfc3339(self._clock.stamp().realtime_ns),
                    )
                )
                row = connection.execute(select(handovers).where(mine)).one()
        return row.id, None

    def _store(self, branch: Branch, number: int, taken: StreamTakenOver) -> None:
        """Verify the package once more and keep its records, a transaction for some.

        Crash here: the records so far are not shown to anybody, and the next call goes on behind them.
        """
        records = tables.handover_records
        with self._database.reading(self._tenant) as connection:
            held = select(func.max(records.c.seq)).where(records.c.handover_id == number)
            last = connection.execute(held).scalar_one()
            again = branch.begun_anew(connection)
            for accepted in self._verified(connection, again):
                fresh = [
                    {
                        "handover_id": number,
                        "seq": each.sequence_no,
                        "kind": each.kind,
                        "unit": each.unit,
                        "occurred_at": each.occurred_at,
                        "data": each.data,
                    }
                    for each in accepted.records
                    if last is None or each.sequence_no > last
                ]
                if fresh:
                    with self._database.writing(self._tenant) as writing:
                        writing.execute(insert(records), fresh)
        if (again.size, again.root()) != (taken.size, taken.root):
            raise StoreError("the package was changed while it was read", hint="run the same command again")

    def _finish(self, number: int, taken: StreamTakenOver) -> TakeoverResult:
        note, now_ns = self._signed(taken), self._clock.stamp().realtime_ns
        with self._database.writing(self._tenant) as connection:
            connection.execute(
                insert(tables.handover_ends).values(
                    handover_id=number, fork=int(taken.fork), held_at=to_rfc3339(now_ns), note=note
                )
            )
        return TakeoverResult(taken, note, again=False)

    def _signed(self, taken: StreamTakenOver) -> str:
        time_s = self._clock.stamp().realtime_ns // NS_PER_S
        return str(taken.cosign(self._cosigner.key, name=self._cosigner.name, time_s=time_s))
