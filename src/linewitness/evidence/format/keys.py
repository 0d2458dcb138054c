"""The stream's keys: their names, how record 0 announces them, and how one event key follows another.

docs/format.md, section 6. Everything here is pure; files and credentials belong to the journal.
"""

from base64 import b64encode
from typing import Any, Final, NamedTuple

from nacl.signing import SigningKey

from linewitness.evidence.format import canonical
from linewitness.evidence.format.note import COSIGNATURE_V1, ED25519, Vkey
from linewitness.evidence.format.record import Change, pae, signature_bytes
from linewitness.evidence.format.schema import MalformedRecord

POSSESSION_TYPE: Final = "application/vnd.linewitness.key-pop.v1+json"
LOG_KEY: Final = "log_key"
EVENT_KEY: Final = "event_key"
PROOF: Final = "proof_of_possession"


class StreamKeys(NamedTuple):
    """The two public keys that record 0 announces."""

    log: Vkey
    event: Vkey


class Rotation(NamedTuple):
    """What `key.rotated` says: the key that ends, the key that begins, and the latter's proof."""

    old: Vkey
    new: Vkey
    proof: bytes


def new_key() -> SigningKey:
    """Return a fresh random Ed25519 key."""
    return SigningKey.generate()


def log_vkey(origin: str, key: SigningKey) -> Vkey:
    """Return the public form of a stream's log key; its name is the origin."""
    return Vkey(origin, ED25519, bytes(key.verify_key))


def event_vkey(origin: str, key: SigningKey) -> Vkey:
    """Return the public form of an event key; its name is `<origin>/event`."""
    return Vkey(f"{origin}/event", ED25519, bytes(key.verify_key))


def cosigner_vkey(name: str, key: SigningKey) -> Vkey:
    """Return the public form of a store's or a witness's key, made for nothing but cosignatures."""
    return Vkey(name, COSIGNATURE_V1, bytes(key.verify_key))


def possession_message(*, stream: str, sequence_no: int, prev_hash: str, new: Vkey) -> bytes:
    """Return what a new event key signs: itself, at the one place in the chain where it takes over."""
    return pae(
        POSSESSION_TYPE,
        canonical.encode(
            {"new_key": str(new), "prev_hash": prev_hash, "sequence_no": sequence_no, "stream": stream}
        ),
    )


def prove_possession(key: SigningKey, *, stream: str, sequence_no: int, prev_hash: str) -> str:
    """Return the proof that `key.rotated` carries: `ed25519:` and the base64 of the new key's signature."""
    message = possession_message(
        stream=stream, sequence_no=sequence_no, prev_hash=prev_hash, new=event_vkey(stream, key)
    )
    return "ed25519:" + b64encode(key.sign(message).signature).decode()


def creation_changes(keys: StreamKeys) -> tuple[Change, ...]:
    """Return the changes of `stream.created`."""
    return (Change(LOG_KEY, None, str(keys.log)), Change(EVENT_KEY, None, str(keys.event)))


def rotation_changes(old: Vkey, new: Vkey, proof: str) -> tuple[Change, ...]:
    """Return the changes of `key.rotated`."""
    return (Change(EVENT_KEY, str(old), str(new)), Change(PROOF, None, proof))


def read_creation(record: dict[str, Any]) -> StreamKeys:
    """Return the keys that record 0 announces; MalformedRecord or BadNote if it does not do so properly."""
    stream = record["integrity"]["stream"]
    log = _vkey(_after(record, LOG_KEY), stream)
    event = _vkey(_after(record, EVENT_KEY), f"{stream}/event")
    if log.public == event.public:
        raise MalformedRecord("the log key and the event key are the same key")
    return StreamKeys(log, event)


def read_rotation(record: dict[str, Any]) -> Rotation:
    """Return the rotation that a `key.rotated` describes, without judging its proof."""
    name = f"{record['integrity']['stream']}/event"
    old = _vkey(_change(record, EVENT_KEY)["before"], name)
    new = _vkey(_after(record, EVENT_KEY), name)
    return Rotation(old, new, signature_bytes(_text(_after(record, PROOF), PROOF)))


def proves_possession(record: dict[str, Any], rotation: Rotation) -> bool:
    """Say whether the new key of a `key.rotated` itself signed for taking over at this place."""
    integrity = record["integrity"]
    message = possession_message(
        stream=integrity["stream"],
        sequence_no=record["sequence_no"],
        prev_hash=integrity["prev_hash"],
        new=rotation.new,
    )
    return rotation.new.verify(message, rotation.proof)


def _change(record: dict[str, Any], field: str) -> dict[str, Any]:
    found = [change for change in record["changes"] if change["field"] == field]
    if len(found) != 1:
        raise MalformedRecord(
            f"{record['kind']} needs the field {field} exactly once, not {len(found)} times"
        )
    change: dict[str, Any] = found[0]
    return change


def _after(record: dict[str, Any], field: str) -> object:
    change = _change(record, field)
    if field != EVENT_KEY and change["before"] is not None:
        raise MalformedRecord(f"the field {field} of {record['kind']} has a value before")
    return change["after"]


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise MalformedRecord(f"the field {field} is not a text")
    return value


def _vkey(value: object, name: str) -> Vkey:
    vkey = Vkey.parse(_text(value, name))
    if vkey.name != name or vkey.algorithm != ED25519:
        raise MalformedRecord(f"{vkey} is not a signing key named {name}")
    return vkey
