"""A gateway without devices: it writes a valid stream, and on request an invalid one."""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nacl.signing import SigningKey

from linewitness.base.clock import to_rfc3339
from linewitness.evidence.format import keys, merkle
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.record import ZERO_HASH, Change, draft
from linewitness.uplink.topics import Topics

START_NS = 1_700_000_000_000_000_000
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass
class FakeGateway:
    """One stream: its keys come from a seed, its records are kept as exact bytes."""

    origin: str = "acme.example/ber-01/line-02/1"
    tenant: str = "acme"
    gateway: str = "ber-01"
    seed: str = "one"
    records: list[bytes] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    frontier: merkle.Frontier = field(default_factory=merkle.Frontier)
    signers: list[SigningKey] = field(default_factory=list)
    _keys: int = 0
    _events: int = 0

    def __post_init__(self) -> None:
        self.log_key = self._new_key()
        self.event_key = self._new_key()
        event_vkey = keys.event_vkey(self.origin, self.event_key)
        self.creation_changes = keys.creation_changes(keys.StreamKeys(self.log_vkey, event_vkey))
        self.append("stream.created", changes=self.creation_changes)

    @property
    def log_vkey(self) -> Vkey:
        return keys.log_vkey(self.origin, self.log_key)

    @property
    def record0_hash(self) -> str:
        return self.hashes[0]

    @property
    def topics(self) -> Topics:
        return Topics(self.tenant, self.gateway)

    @property
    def size(self) -> int:
        return len(self.records)

    def append(
        self,
        kind: str = "tightening.result",
        *,
        unit: str | None = None,
        changes: Sequence[Any] = (),
        event_id: str | None = None,
        signed: bool = True,
        **members: Any,
    ) -> bytes:
        """Write the next record; further keywords replace members of it."""
        self._events += 1
        resource: dict[str, Any] = {"type": "tightening", "id": f"tool-1/0/{self._events}"}
        if unit:
            resource["parent"] = {"type": "unit", "id": unit}
        at = to_rfc3339(START_NS + self._events * 1_000_000_000)
        record = {
            "event_id": event_id or self._ulid(),
            "tenant_id": self.tenant,
            "sequence_no": self.size,
            "kind": kind,
            "action": "create",
            "occurred_at": at,
            "ingested_at": at,
            "actor": {"type": "device", "id": "tool-1"},
            "resource": resource,
            "changes": [_members(change) for change in changes]
            or [
                {"field": "torque", "before": None, "after": "12.30", "unit": "Nm", "low": "11.00"},
                {"field": "angle", "before": None, "after": "341", "unit": "deg", "status": "ok"},
            ],
            "reason": "tightening reported by the controller",
            "context": {"plant_id": "ber", "line_id": "line-02", "device_id": "tool-1"},
            "clock": {
                "sync": "locked",
                "bound_us": 250,
                "step": 0,
                "boot_id": "5f6a7c1e-0000-4000-8000-000000000000",
                "boottime_us": self._events * 1_000_000,
                "occurred_from": "device",
            },
            **members,
        }
        drafted = draft(
            record,
            stream=self.origin,
            key_id=keys.event_vkey(self.origin, self.event_key).key_id,
            prev_hash=self.hashes[-1] if self.hashes else ZERO_HASH,
        )
        data = drafted.data(self.event_key.sign(drafted.message).signature if signed else None)
        self.records.append(data)
        self.hashes.append(drafted.record_hash)
        self.signers.append(self.event_key)
        self.frontier.append(merkle.leaf_hash(data))
        return data

    def grow(self, count: int, **members: Any) -> list[bytes]:
        """Write some results."""
        return [self.append(**members) for _ in range(count)]

    def commit(self, count: int, **members: Any) -> list[bytes]:
        """Write some results under one signature."""
        return [self.append(signed=left == 1, **members) for left in range(count, 0, -1)]

    def rotate(self) -> bytes:
        """Replace the event key."""
        new = self._new_key()
        proof = keys.prove_possession(
            new, stream=self.origin, sequence_no=self.size, prev_hash=self.hashes[-1]
        )
        changes = keys.rotation_changes(
            keys.event_vkey(self.origin, self.event_key), keys.event_vkey(self.origin, new), proof
        )
        data = self.append("key.rotated", changes=changes, action="update")
        self.event_key = new
        return data

    def checkpoint(self, size: int | None = None) -> bytes:
        """Return the signed checkpoint of a size, by default of everything."""
        size = self.size if size is None else size
        if size == self.size:
            root = self.frontier.root()
        else:
            root = merkle.root_of(merkle.leaf_hash(data) for data in self.records[:size])
        return str(Checkpoint(self.origin, size, root).sign(self.log_key)).encode()

    def batch(self, first: int = 0, last: int | None = None) -> bytes:
        """Return records as the payload of a message."""
        return b"".join(data + b"\n" for data in self.records[first:last])

    def fork(self, size: int | None = None) -> "FakeGateway":
        """Return a copy rolled back to a size, with the keys of then: what it writes next is different."""
        other = copy.deepcopy(self)
        size = self.size if size is None else size
        other.event_key = self.signers[size] if size < self.size else self.event_key
        other.signers = self.signers[:size]
        other.records, other.hashes = self.records[:size], self.hashes[:size]
        other.frontier = merkle.Frontier()
        for data in other.records:
            other.frontier.append(merkle.leaf_hash(data))
        other._events += 1000
        return other

    def _new_key(self) -> SigningKey:
        self._keys += 1
        return SigningKey(hashlib.sha256(f"{self.origin} {self.seed} {self._keys}".encode()).digest())

    def _ulid(self) -> str:
        number = int.from_bytes(hashlib.sha256(f"{self.seed} {self._events}".encode()).digest()[:10], "big")
        number |= (START_NS // 1_000_000 + self._events) << 80
        return "".join(CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def _members(change: Change) -> dict[str, Any]:
    stated = {name: value for name, value in change._asdict().items() if value is not None}
    return {"before": None, "after": None, **stated}
