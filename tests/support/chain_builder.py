"""Build streams for the tests of the evidence: every record by hand, so that a test can spoil any of them."""

from typing import Any, cast

from nacl.signing import SigningKey

from linewitness.base.clock import to_rfc3339
from linewitness.evidence.format import keys, record
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.keys import StreamKeys
from linewitness.evidence.format.merkle import leaf_hash, root_of
from linewitness.evidence.format.record import Change

ORIGIN = "acme.example/ber-01/line-02/1"
TENANT = "acme"
_ULID = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: 2026-03-01T00:00:00Z
START_MS = 1_772_323_200_000


def ulid(number: int, stream: str = ORIGIN) -> str:
    """Return the text of a ULID that is unique for a number in a stream."""
    value = (START_MS << 80) + (sum(stream.encode()) << 40) + number
    return "".join(_ULID[value >> (5 * place) & 31] for place in reversed(range(26)))


class Stream:
    """A stream that grows record by record, with all its private keys at hand."""

    def __init__(self, origin: str = ORIGIN, tenant: str = TENANT, seed: int = 1) -> None:
        self.origin = origin
        self.tenant = tenant
        self.log_key = SigningKey(bytes([seed]) * 32)
        self.event_key = SigningKey(bytes([seed + 1]) * 32)
        self.records: list[bytes] = []
        self.hashes: list[str] = []
        self.now_ms = START_MS
        self.boottime_us = 60_000_000
        self.boot_id = "6b6f7a0e-0000-4000-8000-000000000001"
        self.step = 0
        self.key_seed = seed + 100

    @property
    def prev_hash(self) -> str:
        return self.hashes[-1] if self.hashes else record.ZERO_HASH

    def tick(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        self.boottime_us += milliseconds * 1000

    def members(
        self, kind: str = "measurement.result", changes: tuple[Change, ...] = (), **other: Any
    ) -> dict[str, Any]:
        members: dict[str, Any] = {
            "event_id": ulid(len(self.records), self.origin),
            "tenant_id": self.tenant,
            "sequence_no": len(self.records),
            "kind": kind,
            "action": "create",
            "occurred_at": time_of(self.now_ms),
            "ingested_at": time_of(self.now_ms),
            "actor": {"type": "device", "id": "press-4"},
            "resource": {"type": "result", "id": str(len(self.records))},
            "changes": [
                {
                    name: value
                    for name, value in change._asdict().items()
                    if value is not None or name in ("before", "after")
                }
                for change in changes
            ],
            "reason": "measured",
            "context": {"line_id": "line-02", "plant_id": "ber-01"},
            "clock": {
                "sync": "locked",
                "bound_us": 900,
                "step": self.step,
                "boot_id": self.boot_id,
                "boottime_us": self.boottime_us,
                "occurred_from": "gateway",
            },
        }
        return members | other

    def seal(self, members: dict[str, Any], *, signed: bool = True, **link: Any) -> bytes:
        """Sign members as the next record would be, or not; `link` replaces parts of its integrity."""
        key = link.pop("key", self.event_key)
        given: dict[str, Any] = {
            "stream": self.origin,
            "key_id": keys.event_vkey(self.origin, key).key_id,
            "prev_hash": self.prev_hash,
        }
        drafted = record.draft(members, **(given | link))
        return drafted.data(key.sign(drafted.message).signature if signed else None)

    def add(
        self,
        kind: str = "measurement.result",
        changes: tuple[Change, ...] = (),
        *,
        signed: bool = True,
        **other: Any,
    ) -> bytes:
        """Append one record, a second after the last."""
        data = self.seal(self.members(kind, changes, **other), signed=signed)
        self.append(data)
        return data

    def commit(self, count: int) -> None:
        """Append so many records under one signature."""
        for left in range(count, 0, -1):
            force = Change("force", None, f"{len(self.records)}.50", "kN", "1.0", "9.0", "ok")
            self.add(changes=(force,), signed=left == 1)

    def append(self, data: bytes) -> None:
        self.records.append(data)
        self.hashes.append(record.parse(data)["integrity"]["record_hash"])
        self.tick(1000)

    def create(self) -> bytes:
        names = StreamKeys(
            keys.log_vkey(self.origin, self.log_key), keys.event_vkey(self.origin, self.event_key)
        )
        return self.add("stream.created", keys.creation_changes(names))

    def rotation(self, new: SigningKey, **place: Any) -> tuple[Change, ...]:
        where = {"stream": self.origin, "sequence_no": len(self.records), "prev_hash": self.prev_hash} | place
        return keys.rotation_changes(
            keys.event_vkey(self.origin, self.event_key),
            keys.event_vkey(self.origin, new),
            keys.prove_possession(new, **cast(Any, where)),
        )

    def rotate(self) -> bytes:
        self.key_seed += 1
        new = SigningKey(bytes([self.key_seed % 256]) * 32)
        data = self.add("key.rotated", self.rotation(new), action="update")
        self.event_key = new
        return data

    def root(self, size: int | None = None) -> bytes:
        return root_of(leaf_hash(data) for data in self.records[:size])

    def checkpoint(self, size: int | None = None) -> str:
        count = len(self.records) if size is None else size
        return str(Checkpoint(self.origin, count, self.root(count)).sign(self.log_key))


def grown(
    count: int, *, rotate_every: int = 0, origin: str = ORIGIN, tenant: str = TENANT, seed: int = 1
) -> Stream:
    """Return a stream of `count` records, with a rotation at every so many."""
    stream = Stream(origin, tenant, seed)
    stream.create()
    while len(stream.records) < count:
        if rotate_every and len(stream.records) % rotate_every == 0:
            stream.rotate()
        else:
            stream.add(
                changes=(Change("force", None, f"{len(stream.records)}.50", "kN", "1.0", "9.0", "ok"),)
            )
    return stream


def time_of(ms: int) -> str:
    return to_rfc3339(ms * 1_000_000)
