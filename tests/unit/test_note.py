from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from linewitness.evidence.format import note
from linewitness.evidence.format.note import COSIGNATURE_V1, ED25519, BadNote, Note, NoteSignature, Vkey
from support import ed25519_by_hand as hand

KEY = SigningKey(b"k" * 32)
VKEY = Vkey("signer.example", ED25519, bytes(KEY.verify_key))
COSIGNER = Vkey("store.example", COSIGNATURE_V1, bytes(KEY.verify_key))
TEXT = "one\n\ntwo\n"
SECRET = 0x1234_5678_9ABC_DEF0_1234_5678
PUBLIC = hand.encode(hand.times(SECRET, hand.BASE))
TORSION = hand.torsion()


def vkey_text(public: bytes, name: str = "a") -> str:
    return str(Vkey(name, ED25519, public))


def signed() -> Note:
    return Note(TEXT, (note.sign(TEXT, name="signer.example", key=KEY),))


def test_a_note_survives_its_text() -> None:
    again = Note.parse(str(signed()))
    assert again == signed()
    assert again.text == TEXT
    assert again.signed_by(VKEY) == 0


def test_a_cosignature_carries_its_time() -> None:
    both = signed().with_signature(note.cosign(TEXT, name="store.example", key=KEY, time_s=1_772_344_800))
    assert Note.parse(str(both)).signed_by(COSIGNER) == 1_772_344_800


def test_of_two_good_cosignatures_of_one_key_the_first_counts() -> None:
    lines = tuple(note.cosign(TEXT, name="store.example", key=KEY, time_s=time_s) for time_s in (5, 9))
    assert Note(TEXT, lines).signed_by(COSIGNER) == 5


def test_the_types_of_one_key_do_not_stand_in_for_each_other() -> None:
    assert signed().signed_by(COSIGNER) is None
    plain = signed().signatures[0]
    posing = NoteSignature("store.example", COSIGNER.key_id, bytes(8) + plain.signature)
    with pytest.raises(BadNote, match="wrong"):
        Note(TEXT, (posing,)).signed_by(COSIGNER)


def test_an_unknown_signer_is_no_signer_and_a_false_one_is_an_error() -> None:
    other = Vkey("signer.example", ED25519, bytes(SigningKey(b"o" * 32).verify_key))
    assert signed().signed_by(other) is None
    false = NoteSignature("signer.example", VKEY.key_id, bytes(64))
    with pytest.raises(BadNote, match="wrong"):
        Note(TEXT, (false,)).signed_by(VKEY)
    with pytest.raises(BadNote, match="wrong"):
        signed().with_signature(false).signed_by(VKEY)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n— signer AAAAAAA=\n",
        "text\n\n— signer AAAAAAA=",
        "text\n\n- signer AAAAAAA=\n",
        "text\n\n—signer AAAAAAA=\n",
        "text\n\n—  AAAAAAA=\n",
        "text\n\n— sig+ner AAAAAAA=\n",
        "text\n\n— sig\u2003ner AAAAAAA=\n",
        "text\n\n— signer AAAA\n",
        "text\n\n— signer AAAAAA==\n",
        "text\n\n— signer AAAAAAB=\n",
        "text\n\n— signer A*AAAAA=\n",
        "text\n\n— signer AAAAAAA= \n",
        "te\txt\n\n— signer AAAAAAA=\n",
        "text\r\n\r\n— signer AAAAAAA=\r\n",
        "text\n\n" + "— signer AAAAAAA=\n" * 101,
        "x" * 1_000_001,
    ],
)
def test_malformed_notes_are_refused(data: str) -> None:
    with pytest.raises(BadNote):
        Note.parse(data)


@given(st.text())
def test_any_text_is_a_note_or_refused(data: str) -> None:
    try:
        parsed = Note.parse(data)
    except BadNote:
        return
    assert str(parsed) == data


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a+b",
        "a+00000000+AAAA",
        " " + str(VKEY),
        str(VKEY) + "\n",
        str(VKEY).replace(VKEY.key_id, "00000000"),
        str(VKEY).replace(VKEY.key_id, VKEY.key_id.upper() + "0"),
        str(VKEY).replace("signer", "sig ner"),
        "a+00000000+" + b64encode(b"\x02" + bytes(32)).decode(),
    ],
)
def test_malformed_vkeys_are_refused(text: str) -> None:
    with pytest.raises(BadNote):
        Vkey.parse(text)


def test_the_key_by_hand_is_a_good_one() -> None:
    vkey = Vkey.parse(vkey_text(PUBLIC))
    assert vkey.verify(b"m", hand.sign(SECRET, PUBLIC, 99, b"m"))


@pytest.mark.parametrize("number", range(8))
def test_keys_of_small_order_are_refused(number: int) -> None:
    with pytest.raises(BadNote, match="weak"):
        Vkey.parse(vkey_text(hand.encode(TORSION[number])))


@pytest.mark.parametrize("number", range(1, 8))
def test_keys_outside_the_main_subgroup_are_refused(number: int) -> None:
    mixed = hand.encode(hand.add(hand.times(SECRET, hand.BASE), TORSION[number]))
    with pytest.raises(BadNote, match="weak"):
        Vkey.parse(vkey_text(mixed))


@pytest.mark.parametrize("y", [*range(19), 2**255 - 20])
@pytest.mark.parametrize("sign", [0, 1])
def test_keys_that_are_not_canonical_or_no_points_are_refused(y: int, sign: int) -> None:
    above = (hand.P + y if y < 19 else y) | sign << 255
    if above < 2**256:
        with pytest.raises(BadNote, match="weak"):
            Vkey.parse(vkey_text(above.to_bytes(32, "little")))


@pytest.mark.parametrize("number", range(1, 8))
def test_an_r_outside_the_main_subgroup_is_refused(number: int) -> None:
    """A verifier that multiplies by the cofactor would accept these; all of ours refuse them."""
    twisted = hand.sign(SECRET, PUBLIC, 99, b"m", TORSION[number])
    assert not Vkey("a", ED25519, PUBLIC).verify(b"m", twisted)


@pytest.mark.parametrize("number", range(8))
def test_an_r_of_small_order_is_refused(number: int) -> None:
    small = hand.sign(SECRET, PUBLIC, 0, b"m", TORSION[number])
    assert not Vkey("a", ED25519, PUBLIC).verify(b"m", small)


@pytest.mark.parametrize("times", [1, 2, 8])
def test_an_s_beyond_the_order_is_refused(times: int) -> None:
    good = hand.sign(SECRET, PUBLIC, 99, b"m")
    larger = int.from_bytes(good[32:], "little") + times * hand.L
    assert not Vkey("a", ED25519, PUBLIC).verify(b"m", good[:32] + larger.to_bytes(32, "little"))


@pytest.mark.parametrize("length", [0, 63, 65, 128])
def test_a_signature_has_64_bytes(length: int) -> None:
    assert not VKEY.verify(b"m", (KEY.sign(b"m").signature * 2)[:length])
