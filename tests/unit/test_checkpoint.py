import pytest
from nacl.signing import SigningKey

from linewitness.evidence.format import keys, note
from linewitness.evidence.format.checkpoint import Checkpoint, open_checkpoint
from linewitness.evidence.format.merkle import EMPTY_ROOT
from linewitness.evidence.format.note import BadNote, Note

ORIGIN = "acme.example/ber-01/line-02/1"
KEY = SigningKey(b"l" * 32)
LOG = keys.log_vkey(ORIGIN, KEY)
ROOT = bytes(range(32))
GOOD = Checkpoint(ORIGIN, 42, ROOT)
B64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def test_a_checkpoint_is_three_lines_and_a_signature() -> None:
    assert GOOD.text == f"{ORIGIN}\n42\n{B64}\n"
    checkpoint, signed = open_checkpoint(str(GOOD.sign(KEY)), LOG)
    assert checkpoint == GOOD
    assert len(signed.signatures) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ORIGIN}\n42\n{B64}",
        f"{ORIGIN}\n42\n{B64}\nextension\n",
        f"\n42\n{B64}\n",
        f"{ORIGIN}\n042\n{B64}\n",
        f"{ORIGIN}\n+42\n{B64}\n",
        f"{ORIGIN}\n-1\n{B64}\n",
        f"{ORIGIN}\n4_2\n{B64}\n",
        f"{ORIGIN}\n\u0664\u0662\n{B64}\n",
        f"{ORIGIN}\n9007199254740992\n{B64}\n",
        f"{ORIGIN}\n42\n{B64[:-4]}\n",
        f"{ORIGIN}\n42\n{B64[:-2]}9=\n",
        f"{ORIGIN}\n42\n{B64} \n",
        f"{ORIGIN}\n42\n\n",
        f"{ORIGIN}\n0\n{B64}\n",
    ],
)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(BadNote):
        Checkpoint.parse(text)


def test_no_records_have_one_root() -> None:
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert Checkpoint.parse(empty.text) == empty


def test_only_the_log_key_of_this_stream_makes_a_checkpoint() -> None:
    other = SigningKey(b"o" * 32)
    with pytest.raises(BadNote, match="not signed"):
        open_checkpoint(str(GOOD.sign(other)), LOG)
    elsewhere = Checkpoint("elsewhere/1", 42, ROOT).sign(KEY)
    with pytest.raises(BadNote, match="is of elsewhere/1"):
        open_checkpoint(str(elsewhere), LOG)
    cosigned = Note(GOOD.text, (note.cosign(GOOD.text, name=ORIGIN, key=KEY, time_s=1),))
    with pytest.raises(BadNote, match="not signed"):
        open_checkpoint(str(cosigned), keys.cosigner_vkey(ORIGIN, KEY))
