"""Write tenant streams: with the builder of a gateway's journal, into the store's own evidence.

Each transaction loads the head that it writes after, under the lock of the stream: so a command may write
beside the store that runs, and whatever fails leaves nothing behind.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, insert

from linewitness.base.clock import NS_PER_S, Clock, SharedClockState, Stamp, to_rfc3339
from linewitness.base.errors import ConfigurationError
from linewitness.evidence.format import keys
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.record import ZERO_HASH, Actor, Change, Event, Resource
from linewitness.records.builder import EventKey, RecordBuilder, StreamIdentity
from linewitness.records.commit import Commit
from linewitness.records.stream_events import created_event, rotated_event, step_event
from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import OWN, Enrolment, find, own_streams
from linewitness.store.database.errors import StoreError
from linewitness.store.database.statements import statements_for
from linewitness.store.options import AuditStoreOptions
from linewitness.store.stream import Stream
from linewitness.store.tenant.head import TenantHead
from linewitness.store.tenant.keys import TenantKeys, TenantKeysMissing, next_generation, origin_of

#: An event key is replaced at every start of the store, after each start of the machine, and once a day.
KEY_NS: Final = 24 * 3600 * NS_PER_S
#: What is locked while a tenant has no stream yet.
_NO_STREAM: Final = -1
_CONTINUE: Final = "`linewitness store continue` begins a new generation of the tenant stream, and says why"


class TenantStreams:
    """The tenant streams of one store."""

    def __init__(
        self, database: Database, *, store: str, folder: Path, clock: Clock, rotates: bool = False
    ) -> None:
        """Keep keys in a folder. `rotates`: this is the store that runs, whose start replaces event keys."""
        self.database = database
        self.clock = clock
        self.store = store
        self.folder = folder
        self._rotates = rotates
        self._rotated: set[str] = set()

    def is_elsewhere(self, tenant: str) -> bool:
        """Return whether this is another database than the one in which the tenant's stream was written last.

        A copy may be looked at with the keys of the original; what is written there would be another history.
        """
        with self.database.reading(tenant) as connection:
            newest = next(reversed(own_streams(connection, tenant)), None)
        noted = TenantKeys.of(self.folder, newest.origin).database if newest else ""
        return noted not in ("", self.database.name)

    def checkpoint(self, origin: str, size: int, root: bytes) -> str:
        """Return the checkpoint of a tenant stream, signed by its log key."""
        log_key = TenantKeys.of(self.folder, origin).load_log()
        return str(Checkpoint(origin, size, root).sign(log_key))

    @contextmanager
    def writing(self, tenant: str) -> Iterator["TenantTurn"]:
        """Run a block in one transaction of a tenant, in which its stream may grow.

        Crash before the commit: nothing of the block is there, and no record says that it is.
        """
        at = to_rfc3339(self.clock.stamp().realtime_ns)
        self.database.prepare(at)
        rotate = self._rotates and tenant not in self._rotated
        with self.database.writing(tenant) as connection:
            turn = TenantTurn(self, connection, tenant, at, rotate=rotate)
            yield turn
        # Crash here: a key that was replaced is still there, and is erased with the next replacement.
        turn.finish()
        if turn.has_rotated:
            self._rotated.add(tenant)


def streams_of(
    options: AuditStoreOptions, database: Database, clock: Clock, *, rotates: bool = False
) -> TenantStreams:
    """Return the tenant streams of the store that a YAML describes."""
    folder = options.tenant_keys_folder
    return TenantStreams(database, store=options.name, folder=folder, clock=clock, rotates=rotates)


class TenantTurn:
    """One transaction of a tenant; it ends as a whole or not at all."""

    def __init__(
        self, streams: TenantStreams, connection: Connection, tenant: str, at: str, *, rotate: bool
    ) -> None:
        """Begin, without a look at the stream."""
        self.connection = connection
        self.tenant = tenant
        #: The time of acceptance, in whose month everything of the transaction is stored.
        self.at = at
        self.has_rotated = False
        self._streams = streams
        self._rotate = rotate
        self._replaced: list[tuple[TenantKeys, str]] = []
        self._heads: list[tuple[TenantKeys, int, str]] = []

    @property
    def now_ns(self) -> int:
        """The time of what is said now."""
        return self._streams.clock.stamp().realtime_ns

    def stream(self) -> Enrolment | None:
        """Lock the newest stream of the tenant, and return it; None where there is none yet."""
        lock = statements_for(self.connection).lock
        known = self._newest()
        lock(self.connection, known.stream_id if known else _NO_STREAM)
        again = self._newest()  # another program may have begun one while we waited
        if again is not None and again != known:
            lock(self.connection, again.stream_id)
        return again

    def append(self, events: Iterable[Event]) -> list[int]:
        """Append records of events, and return their numbers; the first ones of a tenant begin its stream."""
        found = self.stream()
        if found is None:
            stream, commit, stamp = self._begun(())
        else:
            stream, commit, stamp = self._continued(found)
        first = commit.size
        for event in events:
            commit.add(event, stamp)
        self._store(stream, commit)
        return list(range(first, commit.size))

    def begin_again(self, reason: str, who: Actor) -> Enrolment:
        """Begin the next generation, which says what it continues, and who began it."""
        old = self.stream()
        if old is None:
            raise ConfigurationError(
                f"{self.tenant} has no tenant stream yet", hint="enroll a gateway: that begins it"
            )
        head = TenantHead(self.connection, old)
        heads = (
            Change("continues", None, old.origin),
            Change("size", None, head.size),
            Change("root", None, f"sha256:{head.root.hex()}"),
            Change("record_hash", None, head.record_hash),
        )
        stream, commit, stamp = self._begun(heads)
        origin = stream.enrolment.origin
        continuity = gateway_event(
            "stream.continuity",
            stamp.realtime_ns,
            actor=who,
            resource=Resource("stream", origin),
            changes=(*heads, Change("stream", None, origin)),
            reason=reason,
        )
        commit.add(continuity, stamp)
        self._store(stream, commit)
        return stream.enrolment

    def finish(self) -> None:
        """After the commit, erase what was replaced, and keep where the stream stands."""
        for kept, name in self._replaced:
            kept.erase(name)
        for kept, size, record_hash in self._heads:
            kept.note_head(size, record_hash, self._streams.database.name)

    def _newest(self) -> Enrolment | None:
        return next(reversed(own_streams(self.connection, self.tenant)), None)

    def _begun(self, heads: Sequence[Change]) -> tuple[Stream, Commit, Stamp]:
        """Begin a stream with new keys; they are durable before the database names them."""
        streams, tenant = self._streams, self.tenant
        newest = self._newest()
        before = int(newest.origin.rpartition("/")[2]) if newest else 0
        origin = origin_of(streams.store, tenant, next_generation(streams.folder, tenant, before))
        kept, log_key, key = TenantKeys.of(streams.folder, origin), keys.new_key(), _new_event_key(origin)
        kept.create()
        kept.save_log(log_key)
        kept.save(key.key_id, key.signing_key)
        stream_keys = keys.StreamKeys(keys.log_vkey(origin, log_key), key.vkey)
        identity = StreamIdentity(stream=origin, tenant=tenant)
        builder = RecordBuilder(identity, clock=streams.clock, clock_state=SharedClockState())
        stamp, _ = builder.stamp()
        commit = Commit(builder, size=0, record_hash=ZERO_HASH, key=key)
        commit.add(created_event(identity, stamp, stream_keys, tuple(heads)), stamp)
        self.connection.execute(
            insert(tables.streams).values(
                origin=origin,
                tenant=tenant,
                gateway=OWN,
                log_vkey=str(stream_keys.log),
                record0_hash=commit.record_hash,
                enrolled_at=self.at,
            )
        )
        found = find(self.connection, tenant, origin)
        if found is None:
            raise StoreError(f"the stream {origin} cannot be begun", hint="look into the server's log")
        self.has_rotated = True  # its key is new
        return Stream(self.connection, found), commit, stamp

    def _continued(self, found: Enrolment) -> tuple[Stream, Commit, Stamp]:
        """Go on after the last record, with the key that signs there; steps of the clock come first."""
        kept = TenantKeys.of(self._streams.folder, found.origin)
        head = TenantHead(self.connection, found)
        known, record_hash = kept.head
        if known and not head.has(known, record_hash):
            raise TenantKeysMissing(
                f"the tenant stream {found.origin} had {known} records, and the database has {head.size} or "
                "others: it was restored from an older copy",
                hint=_CONTINUE,
            )
        key = EventKey(found.origin, kept.load(head.event_key.key_id))
        builder = head.builder(StreamIdentity(stream=found.origin, tenant=self.tenant), self._streams.clock)
        stamp, _ = builder.stamp()
        commit = Commit(builder, size=head.size, record_hash=head.record_hash, key=key)
        for step in builder.steps_to_record:
            commit.add(step_event(step), stamp)
        booted = head.last["clock"]["boot_id"] != self._streams.clock.boot_id
        if self._rotate or booted or stamp.realtime_ns - head.key_since_ns > KEY_NS:
            self._replace(kept, commit, stamp)
        return head.stream, commit, stamp

    def _replace(self, kept: TenantKeys, commit: Commit, stamp: Stamp) -> None:
        old, new = commit.key, _new_event_key(commit.key.vkey.name.removesuffix("/event"))
        kept.erase_all_but(old.key_id)
        kept.save(new.key_id, new.signing_key)
        stream = new.vkey.name.removesuffix("/event")
        proof = keys.prove_possession(
            new.signing_key, stream=stream, sequence_no=commit.size, prev_hash=commit.record_hash
        )
        commit.add(rotated_event(stamp, old.vkey, new.vkey, proof), stamp)
        commit.key = new
        self._replaced.append((kept, old.key_id))
        self.has_rotated = True

    def _store(self, stream: Stream, commit: Commit) -> None:
        """Store the records as those of a gateway are: after a verifier has accepted them."""
        lines = commit.rows().data
        accepted = stream.accept(self.connection, lines, self.at)
        if accepted.stopped is not None or accepted.waiting:
            raise StoreError(
                f"the tenant stream {stream.enrolment.origin} cannot go on: {accepted.stopped}",
                hint=_CONTINUE,
            )
        kept = TenantKeys.of(self._streams.folder, stream.enrolment.origin)
        self._heads.append((kept, stream.size, commit.record_hash))


def _new_event_key(origin: str) -> EventKey:
    return EventKey(origin, keys.new_key())
