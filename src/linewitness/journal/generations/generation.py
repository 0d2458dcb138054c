"""End a stream that cannot go on, and begin its next generation with what the old one knew.

The old journal is kept as it is in a folder below, see `replacement`. At every moment there is either the old
journal or the new one, or the next call finishes what this one began.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from linewitness.base.clock import Clock, SharedClockState
from linewitness.base.errors import ConfigurationError, JournalError, LinewitnessError
from linewitness.evidence.format import keys
from linewitness.evidence.format.ended import END_FIELD, StreamEnd, successor
from linewitness.evidence.format.record import Change
from linewitness.journal import database, recover
from linewitness.journal.file import JournalFile
from linewitness.journal.generations import replacement
from linewitness.journal.keyring import LOG_KEY, Keyring, keyring_of
from linewitness.journal.options import JournalOptions
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Continuation
from linewitness.records.builder import StreamIdentity

T = TypeVar("T")

#: Where a contradiction is kept, of the store or of another place: a JSON object, see `Conflict`.
CONFLICT: Final = "stream/conflict"
#: State of these prefixes belongs to one stream, and ends with it.
_OWN: Final = ("stream/", "journal/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """What contradicted the stream: `proven` where its own log key signed another history.

    `note` is what is signed. Size and root are the store's: None where the store signed no receipt over
    another history, but a conflict about a record, or where another place keeps a checkpoint of one.
    """

    at: str
    what: str
    hint: str
    proven: bool
    own_size: int
    store_size: int | None
    store_root: str | None
    note: str | None

    def to_json(self) -> str:
        """Return the form that is kept in the journal."""
        return orjson.dumps({name: getattr(self, name) for name in self.__slots__}).decode()

    @classmethod
    def of(cls, reader: JournalReader) -> "Conflict | None":
        """Return what the journal keeps, or None."""
        text = reader.state_value(CONFLICT)
        return cls(**orjson.loads(text)) if text else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What is known of the generation that ends: None where its files do not say any more.

    `end` is the note in which its log key says where it ends; None also where that key is lost.
    """

    identity: StreamIdentity | None
    size: int | None
    root: str | None
    record_hash: str | None
    receipted: int | None
    conflict: Conflict | None
    state: Mapping[str, str] | None
    end: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Begun:
    """What was done: the stream that ended and its folder now (None where unknown), and why."""

    ended: str | None
    aside: Path | None
    why: str


def begin_next(options: JournalOptions, identity: StreamIdentity, *, clock: Clock, reason: str = "") -> Begun:
    """End the stream in the journal's folder and begin the next generation, whose name is in `identity`.

    JournalError where nothing prevents the old one from going on, or a gateway runs on it;
    ConfigurationError where the YAML does not name the next generation.
    """
    directory, keyring = options.directory, keyring_of(options)
    if not directory.is_dir():
        raise JournalError(
            f"there is no journal at {directory} that could be continued",
            hint="if it is lost for ever, raise the generation in line.origin and run `linewitness init`",
        )
    with database.Lock(directory):
        if replacement.finish(directory):
            return Begun(None, None, "the call before this one was cut short, and is finished now")
        ending = examine(directory, keyring, reason=reason)
        check_successor(ending, identity)
        generation = ending.identity.stream.rpartition("/")[2] if ending.identity else "damaged"
        target, continues = replacement.ended(directory, generation), continuation(ending, identity)

        def build(fresh: Path) -> None:
            file = JournalFile.create(
                fresh,
                identity,
                clock=clock,
                clock_state=SharedClockState(),
                keyring=keyring_of(options.model_copy(update={"directory": fresh})),
                continues=continues,
            )
            file.close()

        replacement.replace(directory, target, build)
    return Begun(ending.identity.stream if ending.identity else None, target, continues.reason)


def examine(directory: Path, keyring: Keyring, *, reason: str = "") -> Ending:
    """Read what is left of a journal, and say why it cannot go on; JournalError if nothing prevents it."""
    damage, reader = "", None
    try:
        reader = JournalReader(directory)
        damage = _damage(directory, keyring)
        ending = _read(reader, keyring, damage or reason)
    except LinewitnessError as error:
        if reader is None and not database.path_of(directory).exists():
            raise
        damage = error.what
        ending = _unreadable(damage)
    finally:
        if reader is not None:
            reader.close()
    if not ending.why:
        raise JournalError(
            f"nothing prevents the stream in {directory} from going on",
            hint="start it with `linewitness run`; if it must end all the same (a stolen key), give --reason",
        )
    return ending


def check_successor(ending: Ending, identity: StreamIdentity) -> None:
    """Require that the YAML names the next generation; ConfigurationError says what to write."""
    if ending.identity is None:
        return
    wanted = successor(ending.identity.stream)
    if identity.stream != wanted:
        raise ConfigurationError(
            f"line.origin is {identity.stream}, and the stream that ends is {ending.identity.stream}",
            hint=f"write `origin: {wanted}` in the YAML, and run this again",
        )


def continuation(ending: Ending, identity: StreamIdentity) -> Continuation:
    """Return what the first records of the new generation say, and the state that it goes on from."""
    old = ending.identity.stream if ending.identity else None
    heads: list[Change] = [
        Change("continues", None, old),
        Change("size", None, ending.size),
        Change("root", None, ending.root),
        Change("record_hash", None, ending.record_hash),
        Change("receipted_size", None, ending.receipted),
        *_unreceipted(ending),
    ]
    why = ending.why
    if ending.conflict is not None and ending.conflict.store_size is not None:
        store_size = ending.conflict.store_size
        heads += [
            Change("store_size", None, store_size),
            Change("store_root", None, ending.conflict.store_root),
        ]
        missing = store_size - (ending.size or 0)
        if missing > 0:
            heads.append(Change("only_at_the_store", None, missing))
            why += (
                f"; the store holds {missing} records more than this journal: what they report may be"
                " reported again in this generation"
            )
    heads.append(Change("state", None, "lost" if ending.state is None else "carried over"))
    if ending.state is None:
        why += "; what devices had reported could not be read: it may be reported again"
    return Continuation(
        heads=tuple(heads),
        changes=(Change("stream", old, identity.stream), *heads),
        reason=why,
        state={key: value for key, value in (ending.state or {}).items() if not key.startswith(_OWN)},
    )


def _unreceipted(ending: Ending) -> Iterator[Change]:
    """Name the records of the old stream that the store may never have seen, and its signed end."""
    if ending.size is not None and ending.receipted is not None and ending.size > ending.receipted:
        yield Change("unreceipted", None, ending.size - ending.receipted)
        yield Change("unreceipted_first", None, ending.receipted)
        yield Change("unreceipted_last", None, ending.size - 1)
    if ending.end is not None:
        yield Change(END_FIELD, None, ending.end)


def _damage(directory: Path, keyring: Keyring) -> str:
    """Say what prevents the journal from being opened, or the empty string; nothing is written."""
    path = database.path_of(directory)
    try:
        connection = database.open_for_reading(directory)
        try:
            with database.translated(path):
                tail = recover.check_tail(connection)
        finally:
            connection.close()
        keyring.load(LOG_KEY)
        keyring.load(tail.event_key.key_id)
    except JournalError as error:
        return error.what
    return ""


def _read(reader: JournalReader, keyring: Keyring, why: str) -> Ending:
    head = _attempt(reader.head)
    receipt = _attempt(reader.newest_receipt)
    conflict = _attempt(lambda: Conflict.of(reader))
    return Ending(
        identity=_attempt(lambda: reader.identity),
        size=head.size if head else None,
        root="sha256:" + head.root.hex() if head else None,
        record_hash=head.record_hash if head else None,
        receipted=receipt[0] if receipt else 0,
        conflict=conflict,
        state=_attempt(reader.state),
        end=_attempt(lambda: _signed_end(reader, keyring)),
        why=why or (conflict.what if conflict else ""),
    )


def _signed_end(reader: JournalReader, keyring: Keyring) -> str | None:
    """Return the end of the stream as its log key signs it, now that nothing more can be added."""
    origin, head, log_key = reader.identity.stream, reader.head(), keyring.load(LOG_KEY)
    if keys.log_vkey(origin, log_key) != reader.log_vkey:
        return None
    return str(StreamEnd(origin, head.size, head.root, head.record_hash).sign(log_key))


def _unreadable(why: str) -> Ending:
    nothing: dict[str, Any] = dict.fromkeys(
        ("identity", "size", "root", "record_hash", "receipted", "conflict", "state", "end")
    )
    return Ending(**nothing, why=why)


def _attempt(read: Callable[[], T]) -> T | None:
    """Return what can be read of a damaged file, or None."""
    try:
        return read()
    except (sqlite3.DatabaseError, LinewitnessError, TypeError, ValueError):
        return None
