"""The journal as one thread sees it: a batch of events becomes records in one durable transaction."""

import functools
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from linewitness.base.clock import Clock, SharedClockState, Stamp
from linewitness.base.errors import JournalError
from linewitness.base.mappings import EMPTY
from linewitness.evidence.format import keys, record
from linewitness.evidence.format.merkle import Frontier
from linewitness.journal import database, recover
from linewitness.journal.attestations import JournalHead
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.pruning.shrink import delete_some
from linewitness.journal.recent import RecentCommits
from linewitness.journal.records.growing_tree import GrowingTree
from linewitness.journal.records.storing import store_records
from linewitness.journal.records.stream_events import continued_event
from linewitness.journal.submission import Continuation, Submission, store_beside
from linewitness.journal.upgrade import upgrade
from linewitness.records.builder import EventKey, RecordBuilder, StreamIdentity
from linewitness.records.commit import Commit
from linewitness.records.stream_events import created_event, rotated_event, step_event


class JournalFile:
    """The one writer of a journal. All methods belong to one thread."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        directory: Path,
        *,
        identity: StreamIdentity,
        builder: RecordBuilder,
        event_key: EventKey,
        tree: GrowingTree,
        record_hash: str,
        keyring: Keyring,
    ) -> None:
        """Take over what `create` or `open` found; use those instead."""
        self._connection = connection
        self.directory = directory
        self._path = database.path_of(directory)
        self._keyring = keyring
        self._builder = builder
        self._identity = identity
        self._key = event_key
        self._tree = tree
        self._record_hash = record_hash
        #: The newest commits, for whoever sends them.
        self.recent = RecentCommits()
        #: The records of the last append, and the roots at their signatures.
        self._written: tuple[list[bytes], dict[int, bytes]] = ([], {})
        #: Steps of the clock that the transaction tells, and the head that it leads to, until it is durable.
        self._steps_told = 0
        self._committing: JournalHead | None = None

    @classmethod
    def create(
        cls,
        directory: Path,
        identity: StreamIdentity,
        *,
        clock: Clock,
        clock_state: SharedClockState,
        keyring: Keyring | None = None,
        continues: Continuation | None = None,
    ) -> "JournalFile":
        """Write record 0 of a new stream, with fresh keys. Only an explicit act may call this."""
        keyring, log_key = keyring or Keyring(directory), keys.new_key()
        first = EventKey(identity.stream, keys.new_key())
        connection = database.create(directory)
        with database.translated(directory):
            keyring.create()
            keyring.save(LOG_KEY, log_key)
            keyring.save(first.key_id, first.signing_key)
        stream_keys = keys.StreamKeys(keys.log_vkey(identity.stream, log_key), first.vkey)
        with database.translated(database.path_of(directory)):
            connection.execute(
                "INSERT INTO stream (id, origin, tenant, plant, line, log_vkey) VALUES (0, ?, ?, ?, ?, ?)",
                (identity.stream, identity.tenant, identity.plant, identity.line, str(stream_keys.log)),
            )
            connection.execute("INSERT INTO event_key VALUES (0, ?)", (str(first.vkey),))
        journal = cls(
            connection,
            directory,
            identity=identity,
            builder=RecordBuilder(identity, clock=clock, clock_state=clock_state),
            event_key=first,
            tree=GrowingTree(Frontier()),
            record_hash=record.ZERO_HASH,
            keyring=keyring,
        )
        # Crash here: keys and an empty stream, which `open` refuses with the hint to start again.
        stamp, _ = journal._builder.stamp()
        events = [created_event(identity, stamp, stream_keys, continues.heads if continues else ())]
        if continues:
            events.append(continued_event(identity, stamp, continues))
        journal.append([Submission(events=tuple(events), state=continues.state if continues else EMPTY)])
        return journal

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        clock: Clock,
        clock_state: SharedClockState,
        keyring: Keyring | None = None,
    ) -> "JournalFile":
        """Open an existing stream after checking its tail; damage raises JournalDamaged."""
        builder = functools.partial(RecordBuilder, clock=clock, clock_state=clock_state)
        return cls._open(directory, keyring or Keyring(directory), builder)

    @classmethod
    def _open(
        cls, directory: Path, keyring: Keyring, builder_of: Callable[[StreamIdentity], RecordBuilder]
    ) -> "JournalFile":
        connection = database.open_for_writing(directory)
        try:
            keyring.tidy()
            with database.translated(database.path_of(directory)):
                found = recover.check_tail(connection)
            event_key = EventKey(found.identity.stream, keyring.load(found.event_key.key_id))
            with database.translated(database.path_of(directory)):
                upgrade(connection)
            journal = cls(
                connection,
                directory,
                identity=found.identity,
                builder=builder_of(found.identity),
                event_key=event_key,
                tree=GrowingTree(found.frontier, found.open_tile),
                record_hash=found.record_hash,
                keyring=keyring,
            )
        except BaseException:
            connection.close()
            raise
        return journal

    def reopened(self) -> "tuple[JournalFile, bool]":
        """Open the journal as ever, after an error of this object, which is closed.

        Also returns whether the last append is durable after all: an error may come after the commit.
        """
        self.close()
        file = self._open(self.directory, self._keyring, lambda _: self._builder)
        file.recent = self.recent
        try:
            if durable := self._committing is not None and file.head == self._committing:
                # What failed may have been the flush of the log: the main file becomes durable instead.
                file.move_log()
            # Keys of rotations that did not come to their end: each attempt would leave one more.
            self._keyring.erase_all_but(LOG_KEY, file.event_key_id)
        except BaseException:
            file.close()
            raise
        if durable:
            self._builder.steps_to_record = self._builder.steps_to_record[self._steps_told :]
        return file, durable

    @property
    def identity(self) -> StreamIdentity:
        """Whose records these are."""
        return self._identity

    @property
    def head(self) -> JournalHead:
        """Where the stream stands now."""
        return JournalHead(self._tree.size, self._record_hash, self._tree.root())

    @property
    def event_key_id(self) -> str:
        """The id of the key that signs the next record."""
        return self._key.key_id

    def append(self, batch: Sequence[Submission]) -> JournalHead:
        """Make a batch durable in one transaction; JournalError if that failed, with nothing stored.

        After an error memory is ahead of the disk: the object must not be used again, see `reopened`.
        """
        new_key = None
        self._steps_told = 0
        with database.translated(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                commit = Commit(
                    self._builder, size=self._tree.size, record_hash=self._record_hash, key=self._key
                )
                stamp = self._look(commit)  # one reading for all that becomes durable together
                for submission in batch:
                    for event in submission.stamped_events():
                        commit.take(event, stamp)
                    if submission.rotate:
                        new_key = self._add_rotation(commit, stamp)
                    store_beside(self._connection, submission, size=commit.size)
                head = self._write(commit)
                self._connection.execute(
                    "INSERT INTO head VALUES (0, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                    "size = excluded.size, record_hash = excluded.record_hash, root = excluded.root",
                    (head.size, head.record_hash, head.root),
                )
                self._committing = head
                # Crash here: nothing of the batch is in the journal, nothing was confirmed.
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.rollback()
                raise
        # Crash here: the records are durable, unconfirmed and unsent; a device sends them again, and
        # the driver's memory, committed with them, knows them.
        if new_key is not None:
            with database.translated(self._path):
                self._keyring.erase_all_but(LOG_KEY, new_key.key_id)
        self._builder.steps_to_record = self._builder.steps_to_record[self._steps_told :]
        self._committing = None
        records, roots = self._written
        if records:
            self.recent.add(records, head, roots)
        return head

    def read_clock(self) -> None:
        """Compare the clocks without writing; the next append puts a step on record."""
        self._builder.stamp()

    def look(self) -> JournalHead:
        """Compare the clocks, and put a step on record; where there was none nothing is written."""
        self.read_clock()
        return self.append([]) if self._builder.steps_to_record else self.head

    def prune(self, boundary: int, *, most: int) -> bool:
        """Delete some of what lies below `boundary`; return whether nothing is left there. See `prune`."""
        with database.translated(self._path):
            return delete_some(self._connection, boundary, most=most)

    def move_log(self) -> None:
        """Move the whole log into the main file, durably; JournalError where a reader holds it for long."""
        with database.translated(self._path):
            busy, *_ = self._connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        if busy:
            raise JournalError(f"a reader holds the log of {self._path}", hint="end it, and start again")

    def move_log_with_commits(self, wanted: bool) -> None:
        """Let each commit that makes the log long move it into the main file, or none."""
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {database.WAL_PAGES if wanted else 0}")

    def close(self) -> None:
        """Close the file; the last connection of all moves the WAL into the main file."""
        self._connection.close()

    def _look(self, commit: Commit) -> Stamp:
        """Read the clock, and put a step on record before anything else."""
        stamp, _ = self._builder.stamp()
        for step in self._builder.steps_to_record[self._steps_told :]:
            commit.add(step_event(step), stamp)
            self._steps_told += 1
        return stamp

    def _write(self, commit: Commit) -> JournalHead:
        """Write the records of a commit with the tree over them; return the head that they lead to."""
        rows = store_records(self._connection, commit)
        self._written = rows.data, self._tree.extend(self._connection, rows)
        self._record_hash, self._key = commit.record_hash, commit.key
        return self.head

    def _add_rotation(self, commit: Commit, stamp: Stamp) -> EventKey:
        new = EventKey(self._identity.stream, keys.new_key())
        # Crash after this: an unused key lies in the folder; the next rotation erases it.
        self._keyring.save(new.key_id, new.signing_key)
        proof = keys.prove_possession(
            new.signing_key,
            stream=self._identity.stream,
            sequence_no=commit.size,
            prev_hash=commit.record_hash,
        )
        event = rotated_event(stamp, commit.key.vkey, new.vkey, proof)
        commit.add(event, stamp)
        self._connection.execute("INSERT INTO event_key VALUES (?, ?)", (commit.size, str(new.vkey)))
        commit.key = new
        return new
