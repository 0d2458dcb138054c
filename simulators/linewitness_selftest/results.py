"""What the selftest's devices make, what they were told, and the count of what became of it."""

import mmap
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from linewitness.base.clock import Clock
from linewitness.evidence.format.record import Actor, Change, Event, Resource, parse
from linewitness.journal.submission import Submission
from linewitness.records.builder import StreamIdentity

IDENTITY: Final = StreamIdentity(
    stream="selftest.example/plant/line/1", tenant="selftest", plant="plant", line="line"
)
GATEWAY: Final = "gateway"
DEVICES: Final = ("wrench-1", "wrench-2", "wrench-3")
#: Slots of the ledger after those of the devices.
RECEIPT: Final = len(DEVICES)
ROTATED: Final = RECEIPT + 1
PRUNED: Final = RECEIPT + 2
CREATED: Final = RECEIPT + 3
_SLOTS: Final = RECEIPT + 4
_SLOT_BYTES: Final = 8
_KIND: Final = "tightening.result"
_RAW_BYTES: Final = 100


def submission(device: str, number: int, clock: Clock) -> Submission:
    """Return one result of a device: the event, its raw bytes, and the state that says it was taken."""
    raw = (f"{device} {number} ".encode() * _RAW_BYTES)[:_RAW_BYTES]
    event = Event(
        kind=_KIND,
        occurred_ns=clock.stamp().realtime_ns,
        occurred_from="device",
        actor=Actor("device", device),
        resource=Resource("tightening", f"{device}/{number}", ("unit", f"SN{number // 4}")),
        reason="the device completed an operation",
        changes=(Change("torque", None, f"12.{number % 100:02d}", "Nm", "11.00", "13.00", "ok"),),
        context={"device_id": device, "station_id": "st-10"},
        raw=raw,
    )
    return Submission(events=(event,), state={state_key(device): str(number + 1)})


def state_key(device: str) -> str:
    """Return under which key the journal keeps the number of a device's next result."""
    return f"device/{device}/next"


class ToldResults:
    """What was confirmed, counted in a file that is mapped into memory: counting makes no system call.

    The pages belong to the kernel, so that they outlive the process that is killed.
    """

    def __init__(self, path: Path) -> None:
        """Open the ledger, a new one with zeros if there is none."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(handle, _SLOTS * _SLOT_BYTES)
            self._memory = mmap.mmap(handle, _SLOTS * _SLOT_BYTES)
        finally:
            os.close(handle)

    def __getitem__(self, slot: int) -> int:
        """Return how many were confirmed."""
        return int.from_bytes(self._memory[slot * _SLOT_BYTES : (slot + 1) * _SLOT_BYTES], "little")

    def __setitem__(self, slot: int, count: int) -> None:
        """Confirm."""
        self._memory[slot * _SLOT_BYTES : (slot + 1) * _SLOT_BYTES] = count.to_bytes(_SLOT_BYTES, "little")

    def __enter__(self) -> Self:
        """Keep it open for the time of a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the memory; the file stays."""
        self._memory.close()


@dataclass(slots=True)
class Count:
    """Which results stand in the records that were read, in their order: each should be there once."""

    size: int = 0
    #: The number that is expected of each device, and the one after the last that is on record.
    following: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DEVICES, 0))
    recorded: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DEVICES, 0))
    #: Results that a later one overtook, and such as came again.
    missing: int = 0
    repeated: int = 0

    def read(self, records: Iterable[bytes]) -> None:
        """Read the next records of the stream."""
        for data in records:
            self.size += 1
            members = parse(data)
            if members["kind"] == _KIND:
                device, _, number = members["resource"]["id"].rpartition("/")
                self._take(device, int(number))

    def _take(self, device: str, number: int) -> None:
        expected = self.following[device]
        if number < expected:
            self.repeated += 1
            return
        self.missing += number - expected
        self.following[device] = self.recorded[device] = number + 1

    def lost(self, told: ToldResults) -> int:
        """Return how many that were confirmed are not there."""
        behind = (told[slot] - self.following[device] for slot, device in enumerate(DEVICES))
        return self.missing + sum(max(0, short) for short in behind)

    def forgive(self, told: ToldResults) -> None:
        """Go on without what was found wrong until now: each fault answers for what it did itself."""
        self.missing = self.repeated = 0
        for slot, device in enumerate(DEVICES):
            self.following[device] = max(self.following[device], told[slot])

    def copy(self) -> "Count":
        """Return one that counts on from here by itself."""
        return Count(self.size, dict(self.following), dict(self.recorded), self.missing, self.repeated)
