"""Journals for tests."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from linewitness.base.clock import Clock, SharedClockState
from linewitness.base.compression.records import unpack_record
from linewitness.evidence.format.record import Actor, Change, Event, Resource, parse
from linewitness.evidence.verify.stream import verify
from linewitness.evidence.verify.verdict import Verdict
from linewitness.journal.database import path_of
from linewitness.journal.file import JournalFile
from linewitness.journal.journal import Journal, open_journal
from linewitness.journal.options import JournalOptions
from linewitness.journal.reader import JournalReader
from linewitness.records.builder import StreamIdentity
from support.clocks import ManualClock

IDENTITY = StreamIdentity(
    stream="acme.example/ber-01/line-02/1", tenant="acme", plant="ber-01", line="line-02"
)


def create(directory: Path, clock: Clock, identity: StreamIdentity = IDENTITY) -> None:
    file = JournalFile.create(directory, identity, clock=clock, clock_state=SharedClockState())
    file.close()


def reopen(directory: Path, clock: ManualClock) -> JournalFile:
    return JournalFile.open(directory, clock=clock, clock_state=SharedClockState())


def options(directory: Path, **settings: Any) -> JournalOptions:
    return JournalOptions(directory=directory, **settings)


@asynccontextmanager
async def running(directory: Path, clock: Clock, **settings: Any) -> AsyncIterator[Journal]:
    """A journal whose writer runs; drained at the end of the block."""
    async with (
        open_journal(options(directory, **settings), clock=clock, clock_state=SharedClockState()) as journal,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(journal.run(), name="journal")
        yield journal
        await journal.drain()


def result_event(number: int, clock: Clock, unit: str = "SN0001") -> Event:
    """Return an event like a torque tool's."""
    return Event(
        kind="tightening.result",
        occurred_ns=clock.stamp().realtime_ns,
        occurred_from="device",
        actor=Actor("device", "wrench-10"),
        resource=Resource("tightening", f"wrench-10/0/{number}", ("unit", unit) if unit else None),
        reason="the device completed an operation",
        changes=(Change("torque", None, "12.30", "Nm", "11.00", "13.00", "ok"),),
        context={"device_id": "wrench-10", "station_id": "st-10"},
    )


def verdict_of(directory: Path) -> Verdict:
    """Return the verifier's verdict on a journal's folder."""
    with JournalReader(directory) as reader:
        return verify(data for _, data in reader.records())


def members_of(directory: Path) -> list[dict[str, Any]]:
    """Return all records of a journal, parsed."""
    with JournalReader(directory) as reader:
        return [parse(data) for _, data in reader.records()]


def forger(directory: Path) -> sqlite3.Connection:
    """Open a journal's file as a forger does, for whom `plain(bytes)` unpacks a record."""
    connection = sqlite3.connect(path_of(directory))
    connection.create_function("plain", 1, unpack_record, deterministic=True)
    return connection
