"""Two statements about an ended stream: their exact text, what is refused, and that none is a checkpoint."""

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.ended import StreamEnd, StreamTakenOver, open_end, open_taken, successor
from linewitness.evidence.format.keys import cosigner_vkey, log_vkey
from linewitness.evidence.format.note import BadNote, Note

ORIGIN = "acme.example/ber-01/line-02/1"
KEY, OTHER = SigningKey(b"l" * 32), SigningKey(b"o" * 32)
ROOT = bytes(range(32))
ROOT_64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
HASH = "sha256:" + "ab" * 32
END = StreamEnd(ORIGIN, 57, ROOT, HASH)
TAKEN = StreamTakenOver(ORIGIN, True, 12, 57, ROOT)
END_TEXT = f"linewitness/ended/v1\n{ORIGIN}\n57\n{ROOT_64}\n{HASH}\n"
TAKEN_TEXT = f"linewitness/taken-over/v1\n{ORIGIN}\nfork\n12\n57\n{ROOT_64}\n"


def test_the_text_is_that_of_the_format() -> None:
    assert END.text == END_TEXT
    assert TAKEN.text == TAKEN_TEXT
    assert StreamEnd.parse(END_TEXT) == END
    assert StreamTakenOver.parse(TAKEN_TEXT) == TAKEN
    assert StreamTakenOver.parse(TAKEN_TEXT.replace("fork", "rest")) == StreamTakenOver(
        ORIGIN, False, 12, 57, ROOT
    )


@pytest.mark.parametrize("text", [END_TEXT, TAKEN_TEXT])
def test_neither_can_be_taken_for_a_checkpoint(text: str) -> None:
    with pytest.raises(BadNote):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ended/v1", "ended/v2"),
        ("\n57\n", "\n057\n"),
        ("\n57\n", "\n-1\n"),
        ("\n57\n", f"\n{2**53}\n"),
        (ROOT_64, ROOT_64[:-1]),
        (ROOT_64, "AAAA"),
        (HASH, HASH[:-1]),
        (HASH, f"{HASH}\nmore"),
    ],
)
def test_another_end_is_refused(old: str, new: str) -> None:
    assert old in END_TEXT
    with pytest.raises(BadNote):
        StreamEnd.parse(END_TEXT.replace(old, new))


@pytest.mark.parametrize("kind", ["", "Fork", "complete"])
def test_another_kind_is_refused(kind: str) -> None:
    with pytest.raises(BadNote):
        StreamTakenOver.parse(TAKEN_TEXT.replace("fork", kind))


def test_only_the_log_key_states_the_end() -> None:
    vkey = log_vkey(ORIGIN, KEY)
    assert open_end(str(END.sign(KEY)), vkey) == END
    for note in (END.sign(OTHER), StreamEnd("acme.example/other/1", 57, ROOT, HASH).sign(KEY)):
        with pytest.raises(BadNote):
            open_end(str(note), vkey)


def test_only_the_store_states_what_it_took_over() -> None:
    vkey = cosigner_vkey("store.example", KEY)
    note = TAKEN.cosign(KEY, name="store.example", time_s=1_772_352_000)
    assert open_taken(str(note), vkey) == (TAKEN, 1_772_352_000)
    with pytest.raises(BadNote):
        open_taken(str(TAKEN.cosign(OTHER, name="store.example", time_s=1)), vkey)
    with pytest.raises(BadNote):
        open_taken(str(Note(TAKEN.text.replace("\n12\n", "\n11\n"), note.signatures)), vkey)


def test_the_next_generation_of_a_stream() -> None:
    assert successor(ORIGIN) == "acme.example/ber-01/line-02/2"
    assert successor("acme.example/line/9") == "acme.example/line/10"
