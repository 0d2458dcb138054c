"""Selections: on one core or on several, what is wrong in itself is named before what is not proven."""

import json
from typing import Any

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.format.proof import TlogProof
from linewitness.evidence.format.record import Change
from linewitness.evidence.verify.selection import selection
from linewitness.evidence.verify.selection.selection import verify_selection
from linewitness.evidence.verify.verdict import Verdict
from support.chain_builder import Stream, grown
from support.packages import policy_for, receipt, subtree_of

pytestmark = pytest.mark.heavy


class Chosen:
    """A selection whose parts can be spoiled."""

    def __init__(self, stream: Stream, picked: list[int], *, tree: Stream | None = None) -> None:
        """Take records of a stream, and proofs as somebody makes them who holds `tree`."""
        note, subtree = receipt(stream), subtree_of(tree or stream)
        self.stream = stream
        self.records = [stream.records[at] for at in picked]
        self.keys = [data for data in stream.records if is_key(data)]
        places = {*picked, *(json.loads(data)["sequence_no"] for data in self.keys)}
        self.proofs = {at: str(TlogProof.make(at, note, subtree)) for at in places}

    def verdict(self, **other: Any) -> Verdict:
        policy = policy_for(self.stream)
        return verify_selection(self.records, self.keys, self.proofs.get, policy=policy, **other)


def is_key(data: bytes) -> bool:
    return json.loads(data)["kind"] in ("stream.created", "key.rotated")


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    """A stream that makes many parts, which are made small for it."""
    monkeypatch.setattr(selection, "BATCH", 16)
    return grown(400, rotate_every=90)


@pytest.fixture
def chosen(stream: Stream) -> Chosen:
    return Chosen(stream, [at for at in range(400) if at % 3])


def test_two_cores_say_what_one_says(chosen: Chosen) -> None:
    seen: list[int] = []
    parallel = chosen.verdict(workers=2, progress=seen.append)
    assert parallel == chosen.verdict()
    assert (parallel.status, parallel.selected) == ("INCLUDED", 266)
    assert seen == [*range(16, 257, 16), 266]


@pytest.mark.parametrize("place", [0, 15, 16, 130, 200, 265])
def test_two_cores_find_the_same_break(chosen: Chosen, place: int) -> None:
    good = json.loads(chosen.records[place])["sequence_no"]
    chosen.records[place] = chosen.records[place].replace(b'"measured"', b'"invented"')
    parallel = chosen.verdict(workers=2)
    assert parallel == chosen.verdict()
    assert (parallel.broken_at, parallel.selected) == (good, place)


@pytest.mark.parametrize("place", [0, 127, 128, 200])
def test_an_order_that_is_not_the_streams_is_found_at_any_seam(chosen: Chosen, place: int) -> None:
    chosen.records[place], chosen.records[place + 1] = chosen.records[place + 1], chosen.records[place]
    parallel = chosen.verdict(workers=2)
    assert parallel == chosen.verdict()
    assert parallel.broken_at == json.loads(chosen.records[place + 1])["sequence_no"]
    assert "order" in parallel.text


def test_neighbours_must_follow_each_other_at_a_seam_too(stream: Stream) -> None:
    fork = grown(90)
    fork.add(changes=(Change("force", None, "6.66"),))
    theirs = Chosen(stream, [*range(16, 32), 32])
    theirs.records[-1] = stream.seal(
        json.loads(stream.records[32]) | {"integrity": None},
        prev_hash=fork.hashes[40],
        key=SigningKey(bytes([2]) * 32),
    )
    assert "prev_hash" in theirs.verdict().text
    assert theirs.verdict().broken_at == 32


def test_a_wrong_record_is_named_before_the_proofs_that_it_spoils(stream: Stream) -> None:
    """As from a journal whose newest records were altered: no proof is good, and only one record is bad."""
    forged = grown(400, rotate_every=90)
    forged.records[395] = forged.records[395].replace(b'"measured"', b'"invented"')
    theirs = Chosen(stream, [3, 200, 395], tree=forged)
    theirs.records[-1] = forged.records[395]
    assert (theirs.verdict().broken_at, theirs.verdict().selected) == (395, 2)
    assert "hashes to" in theirs.verdict().text


def test_if_no_proof_is_good_the_range_is_named(stream: Stream) -> None:
    forged = grown(400, rotate_every=90)
    forged.records[395] = forged.records[395].replace(b'"measured"', b'"invented"')
    verdict = Chosen(stream, [3, 200], tree=forged).verdict()
    assert verdict.broken_at == 0
    assert "neither does any other proof: somewhere from record 0 to record 399" in verdict.text


def test_one_bad_proof_names_its_record_alone(chosen: Chosen) -> None:
    chosen.proofs[200] = chosen.proofs[199].replace("index 199", "index 200")
    assert chosen.verdict(workers=2) == chosen.verdict()
    assert (
        chosen.verdict().text
        == "BROKEN at record 200: the inclusion proof of leaf 200 does not lead to the root"
    )
    del chosen.proofs[100]
    assert chosen.verdict().text == "BROKEN at record 100: the selection holds no proof of it"


def test_a_key_that_comes_back_is_refused_in_a_selection_too() -> None:
    stream = grown(20, rotate_every=8)
    first = SigningKey(bytes([2]) * 32)
    stream.add("key.rotated", stream.rotation(first), action="update")
    stream.event_key = first
    stream.add()
    verdict = Chosen(stream, [3, 21]).verdict()
    assert (verdict.broken_at, "retired before" in verdict.text) == (20, True)
