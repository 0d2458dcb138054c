import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.base.errors import EvidenceError
from linewitness.evidence.format import canonical, record
from linewitness.evidence.format.canonical import NotCanonical
from linewitness.evidence.format.record import Resource
from linewitness.evidence.format.schema import MalformedRecord
from support.chain_builder import Stream, grown
from support.signed_message import signed_message

GOOD = json.loads(grown(2).records[1])


def spoiled(path: str, value: object) -> bytes:
    """Return the good record with one member replaced (or taken away, for `...`)."""
    members = json.loads(json.dumps(GOOD))
    *way, last = path.split(".")
    place = members
    for name in way:
        place = place[int(name)] if isinstance(place, list) else place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return canonical.encode(members)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *((name, ...) for name in GOOD),
        *((f"integrity.{name}", ...) for name in GOOD["integrity"] if name != "signature"),
        *((f"clock.{name}", ...) for name in GOOD["clock"] if name != "bound_us"),
        *((name, []) for name in GOOD if name != "changes"),
        *((f"integrity.{name}", {}) for name in GOOD["integrity"]),
        ("extra", 1),
        ("integrity.extra", "1"),
        ("actor.role", "admin"),
        ("actor.type", "robot"),
        ("actor.type", []),
        ("action", {}),
        ("kind", "tightening.deleted"),
        ("event_id", "01ARZ3NDEKTSV4RRFFQ69G5FAU"[:-1]),
        ("event_id", "81ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("event_id", "01ARZ3NDEKTSV4RRFFQ69G5FAI"),
        ("event_id", "01arz3ndektsv4rrffq69g5fav"),
        ("sequence_no", -1),
        ("sequence_no", "1"),
        ("sequence_no", True),
        ("sequence_no", 2**53),
        ("occurred_at", "2026-03-01T00:00:00Z"),
        ("occurred_at", "2026-03-01T00:00:00.000+00:00"),
        ("occurred_at", "2026-13-01T00:00:00.000Z"),
        ("occurred_at", "2026-03-01T24:00:00.000Z"),
        ("occurred_at", "\u0662026-03-01T00:00:00.000Z"),
        ("ingested_at", "2026-03-01 00:00:00.000Z"),
        ("changes", {}),
        ("changes", [{}]),
        ("changes", ["x"]),
        ("changes.0.after", []),
        ("changes.0.after", 2**53),
        ("changes.0.after", {"deep": 1}),
        ("changes.0.status", "fine"),
        ("changes.0.unit", None),
        ("resource.parent", {"id": "1"}),
        ("context.user", "x"),
        ("context.plant_id", None),
        ("clock.sync", "perfect"),
        ("clock.step", -1),
        ("clock.bound_us", "900"),
        ("clock.device_offset_ms", 2**53),
        ("integrity.v", 2),
        ("integrity.v", True),
        ("integrity.v", "1"),
        ("integrity.key_id", "1234567"),
        ("integrity.key_id", "1234567G"),
        ("integrity.prev_hash", "sha256:" + "A" * 64),
        ("integrity.record_hash", "sha512:" + "a" * 64),
        ("integrity.signature", "ed25519:AAAA"),
        ("integrity.signature", GOOD["integrity"]["signature"].replace("ed25519", "ed448")),
        ("integrity.signature", GOOD["integrity"]["signature"][:-3] + "*=="),
        ("integrity.signature", ""),
        ("integrity.signature", None),
    ],
)
def test_a_record_has_these_members_and_no_others(path: str, value: Any) -> None:
    with pytest.raises(MalformedRecord):
        record.parse(spoiled(path, value))


def test_the_good_one_is_good() -> None:
    assert record.parse(canonical.encode(GOOD)) == GOOD
    assert record.parse(spoiled("clock.bound_us", ...))
    assert record.parse(spoiled("clock.device_offset_ms", -(2**53) + 1))


def test_a_signature_has_one_spelling() -> None:
    text = GOOD["integrity"]["signature"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet[alphabet.index(text[-3]) + 1]
    with pytest.raises(MalformedRecord):
        record.parse(spoiled("integrity.signature", text[:-3] + last + "=="))


@pytest.mark.parametrize(
    "data", [b"[]", b'"x"', b"null", b"1", b"{}", b"[" * 5000, b'{"changes":' + b"[" * 5000]
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        record.parse(data)


def test_known_shapes_are_still_checked() -> None:
    """The members of an object that look like an earlier good one are checked all the same."""
    for _ in range(3):
        record.parse(canonical.encode(GOOD))
        with pytest.raises(MalformedRecord):
            record.parse(spoiled("clock.sync", "perfect"))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_sealed_bytes_are_canonical_and_hash_to_what_they_say(reason: str) -> None:
    stream = Stream()
    data = stream.seal(stream.members(reason=reason))
    members = record.parse(data)
    assert members["reason"] == reason
    message = signed_message(members)
    assert record.message_of(data, members["integrity"]) == message
    assert record.sha256(message) == members["integrity"]["record_hash"]


def test_a_text_that_looks_like_the_integrity_is_not_cut_out() -> None:
    stream = Stream()
    sample = GOOD["integrity"]
    looks = f',"record_hash":"{sample["record_hash"]}","signature":"{sample["signature"]}"'
    data = stream.seal(stream.members(reason=looks, actor={"id": looks, "type": "device"}))
    members = record.parse(data)
    assert record.message_of(data, members["integrity"]) == signed_message(members)


def test_pae_counts_bytes() -> None:
    assert record.pae("té", "€".encode()) == "DSSEv1 3 té 3 €".encode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"reason":"measured"', b'"reason":"measured","reason":"measured"'),
        (b'"reason":', b'"reason": '),
        (b'"measured"', b'"m\\u0065asured"'),
        (b'"after":"1.50"', b'"after":-0'),
        (b'"sequence_no":1', b'"sequence_no":1.0'),
        (b'"measured"', b'"\\ud800"'),
    ],
)
def test_a_record_has_one_form(old: bytes, new: bytes) -> None:
    data = canonical.encode(GOOD)
    assert old in data
    with pytest.raises(NotCanonical):
        record.parse(data.replace(old, new, 1))


@pytest.mark.parametrize(
    ("resource", "unit"),
    [
        (Resource("tightening", "7", ("unit", "SN-1")), "SN-1"),
        (Resource("unit", "SN-2"), "SN-2"),
        (Resource("unit", "SN-3", ("pallet", "4")), None),
        (Resource("device", "press-4"), None),
    ],
)
def test_a_record_is_about_its_resources_parent_or_the_resource(resource: Resource, unit: str | None) -> None:
    members: dict[str, Any] = {"type": resource.type, "id": resource.id}
    if resource.parent:
        members["parent"] = {"type": resource.parent[0], "id": resource.parent[1]}
    assert resource.unit == unit
    assert record.unit_of({"resource": members}) == unit
