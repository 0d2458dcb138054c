"""The store's signed conflict: what it says is read back, and it never reads as a cosignature."""

import hashlib
from base64 import b64decode, b64encode

import pytest

from linewitness.evidence.format.accusation import HEADING, Accusation, is_accusation, open_accusation
from linewitness.evidence.format.checkpoint import Checkpoint, open_checkpoint
from linewitness.evidence.format.keys import cosigner_vkey, log_vkey, new_key
from linewitness.evidence.format.note import BadNote, Note, cosign

STORE, LOG = new_key(), new_key()
NAME, ORIGIN = "store.example", "acme.example/ber-01/line-02/1"
VKEY = cosigner_vkey(NAME, STORE)
TIME_S = 1_772_352_000


def accusation(**members: object) -> Accusation:
    known = {
        "origin": ORIGIN,
        "subject": "record",
        "at": 6,
        "reason": "at record 6: another record is held",
        "receipt": "a receipt\n",
        "held": b'{"a":1}',
        "sent": b'{"a":2}',
    }
    return Accusation(**known | members)  # type: ignore[arg-type]  # the members of the test


def signed(**members: object) -> str:
    return str(accusation(**members).sign(name=NAME, key=STORE, time_s=TIME_S))


@pytest.mark.parametrize(
    "members", [{}, {"receipt": ""}, {"subject": "checkpoint", "at": 0, "held": b"\0" * 32}]
)
def test_what_was_signed_is_read_back(members: dict[str, object]) -> None:
    assert is_accusation(signed(**members).encode())
    assert open_accusation(signed(**members), VKEY) == (accusation(**members), TIME_S)


def test_line_feeds_in_a_reason_add_no_line() -> None:
    read, _ = open_accusation(signed(reason="one\ntwo\n\nthree"), VKEY)
    assert read.reason == "one two three"


def test_a_conflict_never_reads_as_a_cosignature_nor_the_reverse() -> None:
    """Both are by one key: contexts keep them apart, also over the very same text."""
    text = accusation().text
    as_cosigned = Note(text, (cosign(text, name=NAME, key=STORE, time_s=TIME_S),))
    with pytest.raises(BadNote, match="without the signature"):
        open_accusation(str(as_cosigned), VKEY)
    conflict = Note.parse(signed())
    assert conflict.signed_by(VKEY) is None
    checkpoint = Checkpoint(ORIGIN, 7, b"\1" * 32).sign(LOG)
    with pytest.raises(BadNote, match="three lines"):
        open_checkpoint(signed(), log_vkey(ORIGIN, LOG))
    (line,) = conflict.signatures
    posing = type(line)(NAME, VKEY.key_id, line.signature)
    with pytest.raises(BadNote, match="is wrong"):
        checkpoint.with_signature(posing).signed_by(VKEY)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("record 6", "record 7"),
        ("record 6", "record 06"),
        ("record 6", "receipt 6"),
        (ORIGIN, "acme.example/ber-01/line-03/1"),
        (HEADING + "\n", "linewitness/conflict/v2\n"),
        (b64encode(b'{"a":1}').decode(), b64encode(b'{"a":3}').decode()),
        (b64encode(b'{"a":1}').decode(), "!"),
        (b64encode(b'{"a":1}').decode(), ""),
    ],
)
def test_an_altered_conflict_is_refused(old: str, new: str) -> None:
    assert old in signed()
    with pytest.raises(BadNote):
        open_accusation(signed().replace(old, new, 1), VKEY)


def test_a_conflict_of_another_key_or_for_another_kind_of_key_is_refused() -> None:
    with pytest.raises(BadNote, match="without the signature"):
        open_accusation(signed(), cosigner_vkey(NAME, new_key()))
    with pytest.raises(BadNote, match="not a store's key"):
        open_accusation(signed(), log_vkey(NAME, STORE))


def test_what_is_signed_is_what_the_page_says() -> None:
    """docs/format.md, section 10.1, by hand."""
    text, _, line = signed().rpartition("\n\n")
    raw = b64decode(line.rstrip("\n").rpartition(" ")[2])
    public, heading = bytes(STORE.verify_key), b"linewitness/conflict/v1"
    assert raw[:4] == hashlib.sha256(NAME.encode() + b"\n\xff" + heading + public).digest()[:4]
    assert raw[4:12] == TIME_S.to_bytes(8, "big")
    message = heading + f"\ntime {TIME_S}\n{text}\n".encode()
    assert STORE.verify_key.verify(message, raw[12:])
    assert text.split("\n")[:4] == [
        "linewitness/conflict/v1",
        ORIGIN,
        "record 6",
        "at record 6: another record is held",
    ]
