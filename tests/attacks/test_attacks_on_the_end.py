"""Records that were cut off together with the receipts over them, judged by each machine verifier."""

import json
from pathlib import Path
from typing import Any

import pytest

from linewitness.evidence.command.demands import Demands
from support.chain_builder import START_MS, Stream
from support.packages import TIME_S, WITNESS, Judge, policy_for, receipt, selection

START_S = START_MS // 1000
HOUR_S = 3600


def tail_cut_off(stream: Stream) -> dict[str, Any]:
    """Return the first 20 of 24 records with all receipts that fit them: nothing in it is missing."""
    return {
        "records": stream.records[:20],
        "statements": (("receipts/20.receipt", receipt(stream, 20, time_s=START_S + 21)),),
    }


def test_the_lost_tail_is_complete_and_its_age_is_said(judge: Judge, stream: Stream) -> None:
    verdict = judge(**tail_cut_off(stream))
    assert verdict["text"] == "COMPLETE to 20, attested by auditor (store store.example)"
    assert verdict["age"] == {
        "attested_s": START_S + 21,
        "last_record_ms": START_MS + 19_000,
        "after_s": 2,
        "held": {"party": "auditor", "name": "store.example", "size": 20, "time_s": START_S + 21},
        "text": "the newest attestation is of 2026-03-01T00:00:21Z, 2 s after the last record;"
        " store.example held 20 records at 2026-03-01T00:00:21Z",
    }


def test_who_knows_a_number_asks_for_it(judge: Judge, stream: Stream) -> None:
    demands = Demands(now_s=START_S + HOUR_S, at_least=24)
    verdict = judge(**tail_cut_off(stream), demands=demands)
    assert verdict["status"] == "OUTDATED"
    assert list(verdict["unmet"]) == ["20 records are attested, and at least 24 were asked for"]
    assert verdict["text"].startswith(
        "OUTDATED: 20 records are attested, and at least 24 were asked for; COMPLETE"
    )
    assert judge(demands=demands)["status"] == "COMPLETE"


def test_who_knows_a_time_asks_for_it(judge: Judge, stream: Stream) -> None:
    asked = Demands(now_s=START_S + 90 * 86_400, as_of_s=START_S + HOUR_S)
    verdict = judge(**tail_cut_off(stream), demands=asked)
    assert verdict["status"] == "OUTDATED"
    (unmet,) = verdict["unmet"]
    found, asked_for = unmet.split(", and ")
    assert found == "the newest attestation is of 2026-03-01T00:00:21Z"
    assert asked_for == "one of 2026-03-01T01:00:00Z or later was asked for"
    assert (verdict["age"]["as_of_s"], verdict["age"]["before_s"]) == (START_S + HOUR_S, HOUR_S - 21)
    reached = Demands(now_s=START_S + 90 * 86_400, as_of_s=START_S + 21)
    assert judge(**tail_cut_off(stream), demands=reached)["status"] == "COMPLETE"


def test_a_policy_that_names_an_age_refuses_older_attestations(judge: Judge, stream: Stream) -> None:
    policy = policy_for(stream, max_age_s=HOUR_S).canonical
    for after_s, status in ((HOUR_S, "COMPLETE"), (HOUR_S + 1, "OUTDATED")):
        now = Demands(now_s=START_S + 21 + after_s)
        assert judge(**tail_cut_off(stream), policy=policy, demands=now)["status"] == status
        later = Demands(now_s=START_S + 86_400, as_of_s=START_S + 21 + after_s)
        assert judge(**tail_cut_off(stream), policy=policy, demands=later)["status"] == status


def test_a_policy_without_an_age_takes_any(judge: Judge, stream: Stream) -> None:
    verdict = judge(**tail_cut_off(stream), demands=Demands(now_s=START_S + 9 * 365 * 86_400))
    assert (verdict["status"], list(verdict["unmet"])) == ("COMPLETE", [])


@pytest.mark.parametrize("age", [0, -1, 3_155_760_001, True, "60", None])
def test_an_age_that_is_none_is_refused(judge: Judge, stream: Stream, age: Any) -> None:
    policy = json.dumps(json.loads(policy_for(stream).canonical) | {"max_age_s": age}).encode()
    assert judge(policy=policy)["status"] == "REFUSED"


def test_the_age_is_a_part_of_the_policys_hash(judge: Judge, stream: Stream) -> None:
    aged = policy_for(stream, max_age_s=HOUR_S)
    assert judge(policy=aged.canonical)["policy"] == aged.sha256 != policy_for(stream).sha256


def test_an_attestation_from_the_future_is_remarked_upon(judge: Judge, stream: Stream) -> None:
    verdict = judge(**tail_cut_off(stream), demands=Demands(now_s=START_S - HOUR_S))
    assert verdict["status"] == "COMPLETE"
    assert verdict["remarks"][0]["text"] == "the newest attestation is of a time 60 min after this check"


def test_nothing_attested_has_no_age(judge: Judge, stream: Stream) -> None:
    verdict = judge(statements=(), demands=Demands(now_s=START_S, as_of_s=START_S))
    assert verdict["age"]["text"].startswith("nothing is attested, so that nothing shows what is missing")
    assert verdict["status"] == "OUTDATED"
    assert judge(statements=(), demands=Demands(now_s=START_S))["status"] == "INTACT"


def test_a_quorum_is_as_old_as_the_party_that_completes_it(judge: Judge, stream: Stream) -> None:
    old = receipt(stream, time_s=START_S + 30, key=WITNESS, name="witness.example")
    statements = (("receipts/1.receipt", receipt(stream, time_s=START_S + 7000)), ("receipts/2.receipt", old))
    policy = policy_for(stream, quorum=2).canonical
    assert judge(statements=statements, policy=policy)["age"]["attested_s"] == START_S + 30
    assert judge(statements=statements)["age"]["attested_s"] == START_S + 7000


def test_a_fresh_receipt_over_the_same_records_renews_the_age(judge: Judge, stream: Stream) -> None:
    """A line that stands still has no newer records; its store can still say that these are all."""
    first = ("receipts/1.receipt", receipt(stream, time_s=START_S + 30))
    held = ("receipts/held.receipt", receipt(stream, time_s=START_S + 7 * 86_400))
    verdict = judge(statements=(first, held))
    assert (verdict["text"][:14], list(verdict["remarks"])) == ("COMPLETE to 24", [])
    assert verdict["age"]["attested_s"] == START_S + 7 * 86_400


def test_records_cut_off_below_what_the_store_held_when_it_made_the_package(
    judge: Judge, stream: Stream
) -> None:
    held = ("receipts/held.receipt", receipt(stream))
    verdict = judge(stream.records[:20], statements=(*tail_cut_off(stream)["statements"], held))
    assert (verdict["status"], verdict["broken_at"]) == ("BROKEN", 20)


def test_a_selection_says_what_the_store_held_when_it_made_the_package(
    judge: Judge, stream: Stream, tmp_path: Path
) -> None:
    """Its proofs are about 24 records; the store held 30 by then, and nobody can say so but the store."""
    path = tmp_path / "some.zip"
    longer = Stream()
    for data in stream.records:
        longer.append(data)
    longer.event_key = stream.event_key
    while len(longer.records) < 30:
        longer.add()
    held = receipt(longer, time_s=TIME_S + HOUR_S)
    verdict = judge(path=selection(stream, path, [3, 12], statements=(("receipts/held.receipt", held),)))
    assert verdict["text"].startswith("INCLUDED: 2 selected records are unaltered and among the 24 attested")
    assert verdict["age"]["text"].endswith("store.example held 30 records at 2026-03-01T02:53:20Z")
    assert judge(path=path, demands=Demands(now_s=TIME_S, at_least=25))["status"] == "OUTDATED"
    assert judge(path=selection(stream, path, [3, 12]))["age"]["held"]["size"] == 24
