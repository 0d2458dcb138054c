import json
import tracemalloc
from base64 import b64encode
from pathlib import Path
from typing import Any, cast

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.format import keys, note
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.note import Note
from linewitness.evidence.format.record import Change
from linewitness.evidence.policy.revocation import Revocation
from linewitness.evidence.verify import parallel
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.stream import read_ndjson, verify
from linewitness.evidence.verify.unique_ids import UniqueIds
from support.chain_builder import ORIGIN, Stream, grown
from support.packages import STORE, TIME_S, WITNESS, policy_for, receipt

pytestmark = pytest.mark.heavy


def said(*texts: str) -> list[Statement]:
    return [Statement(f"receipt {number}", text) for number, text in enumerate(texts)]


def test_all_records_attested_is_complete() -> None:
    stream = grown(30, rotate_every=8)
    verdict = verify(stream.records, policy=policy_for(stream), statements=said(receipt(stream)))
    assert verdict.status == "COMPLETE"
    assert verdict.text == "COMPLETE to 30, attested by auditor (store store.example)"
    assert verdict.attestations[0].time_s == TIME_S
    assert verdict.root == stream.root().hex()
    assert json.loads(json.dumps(verdict.to_json()))["text"] == verdict.text


def test_what_follows_the_last_receipt_is_only_intact() -> None:
    stream = grown(30)
    verdict = verify(stream.records, policy=policy_for(stream), statements=said(receipt(stream, 26)))
    assert (verdict.status, verdict.attested) == ("INTACT", 26)
    assert verdict.text.startswith("INTACT, last 4 records not yet attested; COMPLETE to 26")


def test_without_receipts_or_without_a_policy_nothing_is_complete() -> None:
    stream = grown(10)
    assert (
        verify(stream.records, policy=policy_for(stream)).text == "INTACT, last 10 records not yet attested"
    )
    assert verify(stream.records, statements=said(receipt(stream))).status == "INTACT"


def test_the_gateways_own_checkpoint_attests_nothing() -> None:
    stream = grown(10)
    verdict = verify(stream.records, policy=policy_for(stream), statements=said(stream.checkpoint()))
    assert (verdict.status, verdict.attested, verdict.remarks) == ("INTACT", 0, ())


def test_a_quorum_of_two_takes_what_both_parties_cover() -> None:
    stream = grown(30)
    both = policy_for(stream, quorum=2)
    store, witness = receipt(stream, 28), receipt(stream, 20, key=WITNESS, name="witness.example")
    assert verify(stream.records, policy=both, statements=said(store)).attested == 0
    assert verify(stream.records, policy=both, statements=said(store, store)).attested == 0
    verdict = verify(stream.records, policy=both, statements=said(store, witness))
    assert verdict.attested == 20
    assert {one.party for one in verdict.attestations} == {"auditor", "institute"}


def test_a_missing_end_is_found_by_the_receipt() -> None:
    stream = grown(30)
    verdict = verify(stream.records[:25], policy=policy_for(stream), statements=said(receipt(stream)))
    assert (verdict.status, verdict.broken_at) == ("BROKEN", 25)
    assert "is about 30 records, here are 25" in verdict.text


def test_a_history_rewritten_with_all_keys_is_found_by_the_receipt() -> None:
    stream = grown(30)
    attested = said(receipt(stream, 10), receipt(stream, 30))
    rewritten = Stream()
    for data in stream.records[:20]:
        rewritten.append(data)
    rewritten.add(changes=(Change("force", None, "6.66"),))
    while len(rewritten.records) < 30:
        rewritten.add()
    verdict = verify(rewritten.records, policy=policy_for(stream), statements=attested)
    assert (verdict.status, verdict.broken_at, verdict.attested) == ("BROKEN", 10, 10)
    assert "other records than those" in verdict.text


def test_another_stream_under_the_same_name_is_not_the_pinned_one() -> None:
    stream, other = grown(5), grown(5, seed=9)
    verdict = verify(other.records, policy=policy_for(stream))
    assert (verdict.broken_at, verdict.status) == (0, "BROKEN")
    assert "not the record 0 that the policy names" in verdict.text


def test_a_policy_with_another_log_key_is_not_met() -> None:
    stream = grown(5)
    other = keys.log_vkey(stream.origin, SigningKey(b"o" * 32))
    verdict = verify(stream.records, policy=policy_for(stream, log_key=other))
    assert verdict.text == "BROKEN at record 0: its log key is not the one that the policy names"


def test_a_broken_stream_is_attested_no_further_than_it_is_good() -> None:
    stream = grown(15)
    stream.add(event_id=json.loads(stream.records[3])["event_id"])
    while len(stream.records) < 25:
        stream.add()
    attested = said(receipt(stream, 10), receipt(stream, 20))
    verdict = verify(stream.records, policy=policy_for(stream), statements=attested)
    assert (verdict.broken_at, verdict.size, verdict.attested) == (15, 15, 10)


def test_no_records_are_not_a_good_stream() -> None:
    stream = grown(1)
    empty = str(Checkpoint(ORIGIN, 0, stream.root(0)).sign(stream.log_key))
    for policy in (policy_for(stream), None):
        verdict = verify([], policy=policy, statements=said(empty))
        assert verdict.text == "BROKEN at record 0: there are no records"


@pytest.mark.parametrize("later", [2, 7, 2500])
def test_an_event_id_that_is_there_twice_is_found(later: int) -> None:
    stream = grown(1)
    while len(stream.records) < 2600:
        place = len(stream.records)
        extra = {"event_id": json.loads(stream.records[1])["event_id"]} if place == later else {}
        stream.add(**extra)
    verdict = verify(stream.records)
    assert verdict.text == f"BROKEN at record {later}: its event_id is that of record 1"


def test_an_id_that_is_there_twice_is_found_across_runs_on_disk() -> None:
    with UniqueIds(run=3) as ids:
        for index, letter in enumerate("KABCDEFGHAK"):
            ids.add(letter.encode() * 26, index)
        assert ids.first_duplicate() == (9, 1)
    with UniqueIds(run=3) as ids:
        for index, letter in enumerate("KABCDEFGH"):
            ids.add(letter.encode() * 26, index)
        assert ids.first_duplicate() is None


@pytest.mark.parametrize("text", ["", "junk\n", "a\nb\n\n— c d\n"])
def test_a_malformed_statement_is_remarked_upon_and_counts_for_nothing(text: str) -> None:
    stream = grown(5)
    verdict = verify(stream.records, policy=policy_for(stream), statements=said(text))
    assert verdict.status == "INTACT"
    assert "receipt 0 does not count" in verdict.remarks[0].text


def test_an_altered_cosignature_time_does_not_count() -> None:
    stream = grown(5)
    good = Note.parse(receipt(stream))
    line = good.signatures[1]
    moved = note.NoteSignature(line.name, line.key_id, (7).to_bytes(8, "big") + line.signature[8:])
    verdict = verify(
        stream.records,
        policy=policy_for(stream),
        statements=said(str(Note(good.text, (good.signatures[0], moved)))),
    )
    assert verdict.status == "INTACT"
    assert "signature of store.example" in verdict.remarks[0].text


def test_a_receipt_of_another_stream_does_not_count() -> None:
    stream, other = grown(5), grown(5, origin="acme.example/ber-01/line-03/1")
    verdict = verify(stream.records, policy=policy_for(stream), statements=said(receipt(other)))
    assert verdict.status == "INTACT"
    assert "is of acme.example/ber-01/line-03/1" in verdict.remarks[0].text


def test_a_revoked_event_key_breaks_the_stream_where_it_is_used_again() -> None:
    stream = grown(30, rotate_every=10)
    second = json.loads(stream.records[10])["changes"][0]["after"]
    revoked = Revocation(ORIGIN, note.Vkey.parse(second), 15, "stolen")
    verdict = verify(stream.records, policy=policy_for(stream, revocations=(revoked,)))
    assert verdict.broken_at == 15
    assert "revoked from record 15 on (stolen)" in verdict.text
    over = Revocation(ORIGIN, note.Vkey.parse(second), 21, "destroyed")
    assert verify(stream.records, policy=policy_for(stream, revocations=(over,))).status == "INTACT"


def test_a_revoked_store_key_attests_nothing_beyond_its_revocation() -> None:
    stream = grown(30)
    revoked = Revocation(ORIGIN, keys.cosigner_vkey("store.example", STORE), 20, "stolen")
    policy = policy_for(stream, revocations=(revoked,))
    verdict = verify(stream.records, policy=policy, statements=said(receipt(stream, 20), receipt(stream, 30)))
    assert verdict.attested == 20
    assert "revoked from record 20 on" in verdict.remarks[0].text


def test_a_retired_event_key_cannot_come_back() -> None:
    stream = grown(5)
    first = stream.event_key
    stream.rotate()
    stream.add("key.rotated", stream.rotation(first))
    stream.event_key = first
    stream.add()
    verdict = verify(stream.records)
    assert verdict.broken_at == 6
    assert "brings back the event key" in verdict.text


def test_the_clock_must_go_with_the_uptime_unless_the_step_is_on_record() -> None:
    stream = grown(5)
    stream.now_ms -= 3_600_000
    rewound = verify([*stream.records, stream.seal(stream.members())])
    assert rewound.text == "BROKEN at record 5: the clock moved by -3600.000 s without clock.stepped"
    stream.step = 1
    uncounted = verify([*stream.records, stream.seal(stream.members())])
    assert "count of clock steps goes from 0 to 1" in uncounted.text
    stream.add("clock.stepped")
    stream.add()
    honest = verify(stream.records)
    assert honest.status == "INTACT"
    assert [(one.index, one.text) for one in honest.remarks] == [
        (5, "the clock was set by -3600.000 s, on record")
    ]


def test_uptime_never_falls_within_a_boot_and_dates_are_real() -> None:
    stream = grown(5)
    stream.boottime_us -= 5_000_000
    assert "boottime_us falls" in verify([*stream.records, stream.seal(stream.members())]).text
    other = grown(5)
    dated = other.members() | {"ingested_at": "2026-02-30T00:00:00.000Z"}
    assert "no date of the calendar" in verify([*other.records, other.seal(dated)]).text


def test_silence_and_an_unannounced_reboot_are_remarked_upon() -> None:
    stream = grown(5)
    stream.tick(600_000)
    stream.add()
    stream.boot_id, stream.boottime_us = "another", 5
    stream.now_ms -= 20_000
    stream.add()
    texts = [one.text for one in verify(stream.records).remarks]
    assert texts == [
        "nothing was recorded for 601 s, not even a heartbeat",
        "the boot changes without gateway.started",
        "after a reboot the clock is 19.000 s behind the record before",
    ]


@pytest.fixture
def long_stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    """A stream of many chunks, which are made small for it."""
    monkeypatch.setattr(parallel, "CHUNK", 64)
    return grown(900, rotate_every=70)


def test_two_cores_say_what_one_says(long_stream: Stream) -> None:
    arguments = {"policy": policy_for(long_stream), "statements": said(receipt(long_stream, 899))}
    seen: list[int] = []
    parallel = verify(long_stream.records, workers=2, progress=seen.append, **cast(Any, arguments))
    assert parallel == verify(long_stream.records, **cast(Any, arguments))
    assert parallel.attested == 899
    assert seen[-1] == 900


@pytest.mark.parametrize("place", [64 * 5 - 1, 64 * 5, 700, 899])
def test_two_cores_find_the_same_break(long_stream: Stream, place: int) -> None:
    records = list(long_stream.records)
    records[place] = records[place].replace(b'"reason":"m', b'"reason":"M')
    parallel = verify(records, workers=2)
    assert parallel.broken_at == place
    assert parallel == verify(records)


def test_a_seam_does_not_hide_a_splice(long_stream: Stream) -> None:
    """Each chunk of the other stream is good in itself; only the seam shows that it is not ours."""
    other = grown(640, seed=33)
    records = other.records[: 64 * 5] + long_stream.records[64 * 5 :]
    assert verify(records, workers=2).broken_at == 64 * 5


def test_a_wrong_assumption_about_a_seam_costs_time_only(
    long_stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "_assume", lambda start, chunk: start)
    assert verify(long_stream.records, workers=2) == verify(long_stream.records)


def test_memory_does_not_grow_with_the_stream() -> None:
    long_stream = grown(6200, rotate_every=1500)

    def peak(count: int) -> int:
        tracemalloc.start()
        verify(iter(long_stream.records[:count]))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(6_200) < peak(4_100) * 1.2 + 2_100 * 120


def test_a_file_is_read_line_by_line_within_limits(tmp_path: Path) -> None:
    path = tmp_path / "records.ndjson"
    stream = grown(5)
    path.write_bytes(b"\n".join(stream.records) + b"\n")
    assert list(read_ndjson(path)) == stream.records
    path.write_bytes(stream.records[0] + b"\n" + b"x" * 200_000)
    verdict = verify(read_ndjson(path))
    assert verdict.text == "BROKEN at record 1: 65537 bytes are more than the 65535 allowed"


def test_a_root_of_a_key_of_small_order_is_refused() -> None:
    weak = bytes(32)
    text = f"store.example+{'0' * 8}+{b64encode(bytes([4]) + weak).decode()}"
    with pytest.raises(note.BadNote, match="weak"):
        note.Vkey.parse(text)


@pytest.mark.parametrize("chunk", [1, 2, 4, 8])
def test_roots_at_every_size_are_found_whatever_the_chunks(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = grown(27, rotate_every=5)
    monkeypatch.setattr("linewitness.evidence.verify.parallel.CHUNK", chunk)
    for size in range(1, 28):
        statements = [Statement(f"over {each}", stream.checkpoint(each)) for each in (size, 27)]
        assert verify(stream.records, statements=statements).status == "INTACT"
        forged = Checkpoint(stream.origin, size, bytes(32)).sign(stream.log_key)
        assert verify(stream.records, statements=[Statement("forged", str(forged))]).broken_at == 0
