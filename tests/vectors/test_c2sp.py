"""The examples that C2SP's specifications show, read by our readers to what their text says of them.

The keys behind these examples are not published, so that signatures stand for their place and form only; a
published note with its key is in test_vectors.py. In tlog-proof signatures are shortened: others stand here.
"""

from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from linewitness.base.clock import SystemClock
from linewitness.evidence.format import note
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.note import ED25519, BadNote, Note, Vkey
from linewitness.evidence.format.proof import TlogProof
from linewitness.store.keys import Cosigner
from linewitness.store.witness import Witness
from support.page_signatures import ask_page

#: signed-note: a text with an empty line in it, and a signature.
QUASIMODO = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned \u00e8 subito sera.\n\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMc"
    "Xxj99ihAQwaqP3ZekRwNtIc=\n"
)
SOFA = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
LOG_LINE = (
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGk"
    "u9nTo+zyWE+xeMcTOAYQ8=\n"
)
#: tlog-checkpoint.
CHECKPOINT = f"{SOFA}\n{LOG_LINE}"
#: tlog-witness: the request's proof and second signature, and the answer.
HASHES = (
    "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\njrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n"
)
OTHER_LINE = (
    "— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6Q"
    "UXTS5Rovnzv++qbSzm9Q=\n"
)
REQUEST = f"old 20852014\n{HASHES}\n{CHECKPOINT}{OTHER_LINE}"
ANSWER = (
    "— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI"
    "5G2HgLatVs0pWh6Up69HVOw==\n"
    "— witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+Ufz"
    "uOBMh9ChdMkP1vi/lCAsmlw==\n"
    "— witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3HNJhm/k"
    "Wl7oJlqU3rXXvpysAdyP3wQ==\n"
)
#: tlog-proof, with whole signature lines in place of the shortened ones.
STEPS = (
    "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=",
    "B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=",
    "EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=",
    "RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=",
    "AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=",
)
FANCY = "example.com/fancylog\n109482\nsFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n"
PROOF = (
    "c2sp.org/tlog-proof@v1\nextra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6kYXJ3aW4tYXJ\nindex 73894\n"
    + "".join(f"{step}\n" for step in STEPS)
    + f"\n{FANCY}\n{LOG_LINE}"
)
KEY = SigningKey(b"c" * 32)


def test_a_note_is_divided_at_its_last_empty_line() -> None:
    read = Note.parse(QUASIMODO)
    assert read.text.endswith("sole:\n\ned \u00e8 subito sera.\n")
    (line,) = read.signatures
    assert (line.name, line.key_id, len(line.signature)) == ("quasimodo.example/salvatore", "367ba04b", 64)
    assert str(read) == QUASIMODO


def test_the_lines_of_keys_that_nobody_knows_are_ignored() -> None:
    """Signed-note: of an unknown key, even of a known name, a line says nothing; ours beside it counts."""
    known = Vkey("example.com/behind-the-sofa", ED25519, bytes(KEY.verify_key))
    read = Note.parse(CHECKPOINT)
    assert read.signed_by(known) is None
    assert read.with_signature(note.sign(SOFA, name=known.name, key=KEY)).signed_by(known) == 0


def test_sixteen_signatures_are_accepted() -> None:
    lines = [note.sign(SOFA, name=f"s{number}.example", key=KEY) for number in range(16)]
    assert len(Note.parse(str(Note(SOFA, tuple(lines)))).signatures) == 16


def test_a_checkpoint_is_what_its_lines_say() -> None:
    checkpoint = Checkpoint.parse(Note.parse(CHECKPOINT).text)
    assert checkpoint.text == SOFA
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)


def test_extension_lines_are_not_of_our_profile() -> None:
    """tlog-checkpoint allows them and recommends none; docs/format.md has none, so they are refused."""
    with pytest.raises(BadNote, match="exactly three lines"):
        Checkpoint.parse(SOFA + "extension\n")


def test_the_request_of_the_specification_is_understood(tmp_path: Path) -> None:
    known: dict[Any, Any] = {}
    witness = Witness(
        tmp_path / "w.db", Cosigner("w.example", KEY), log_key_of=known.get, clock=SystemClock()
    )
    assert witness.add_checkpoint(REQUEST.encode()).status == 404
    known["example.com/behind-the-sofa"] = Vkey("example.com/behind-the-sofa", ED25519, bytes(KEY.verify_key))
    assert witness.add_checkpoint(REQUEST.encode()).status == 403
    signed = REQUEST + str(note.sign(SOFA, name="example.com/behind-the-sofa", key=KEY)) + "\n"
    reply = witness.add_checkpoint(signed.encode())
    assert (reply.status, reply.body, reply.content_type) == (409, "0\n", "text/x.tlog.size")
    witness.close()


def test_the_answer_of_the_specification_is_understood() -> None:
    read = Note.parse(CHECKPOINT + ANSWER)
    names = [line.name for line in read.signatures]
    assert names == ["example.com/behind-the-sofa", *["witness.example/w1"] * 2, "witness.example/w2"]
    assert all(len(line.signature) == 8 + 64 for line in read.signatures[1:])
    assert read.text == SOFA


def test_a_time_that_no_cosignature_may_have_is_refused() -> None:
    """tlog-cosignature: a timestamp must not exceed 2^63-1."""
    cosigner = Vkey("w.example", note.COSIGNATURE_V1, bytes(KEY.verify_key))
    line = note.cosign(SOFA, name="w.example", key=KEY, time_s=2**63)
    with pytest.raises(BadNote):
        Note.parse(CHECKPOINT).with_signature(line).signed_by(cosigner)


def test_a_proof_is_what_its_lines_say() -> None:
    proof = TlogProof.parse(PROOF)
    assert (proof.index, proof.path) == (73894, tuple(b64decode(step) for step in STEPS))
    assert Checkpoint.parse(Note.parse(proof.checkpoint).text).text == FANCY


def test_the_page_reads_the_same() -> None:
    question = """(source) => {
      const note = parseNote(source);
      return [note.text, note.lines.map((line) => [line.name, line.id, line.signature.length])];
    }"""
    for source, said in zip(
        (QUASIMODO, CHECKPOINT + ANSWER), ask_page(question, [QUASIMODO, CHECKPOINT + ANSWER]), strict=True
    ):
        read = Note.parse(source)
        lines = [[line.name, line.key_id, len(line.signature)] for line in read.signatures]
        assert said == [read.text, lines]
    question = "(source) => { const proof = parseProof(source); return [proof.index, proof.path.map(hex)]; }"
    (proof,) = ask_page(question, [PROOF])
    assert proof == [73894, [b64decode(step).hex() for step in STEPS]]
    (sofa, extended) = ask_page("(text) => parseCheckpoint(text).size", [SOFA, SOFA + "extension\n"])
    assert sofa == 20852163
    assert set(extended) == {"refused"}
