"""What an outsider may believe of a record's time: receipts before it and after it in the chain."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from linewitness.base.clock import to_rfc3339
from linewitness.cli import app
from linewitness.evidence.format.note import Note, cosign
from linewitness.evidence.format.record import parse
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.stream import verify
from linewitness.evidence.verify.time_bounds import TimeBounds, bounds_of
from support.chain_builder import START_MS, Stream
from support.cited import cite
from support.packages import WITNESS, policy_for, receipt

START_S = START_MS // 1000


class Scene:
    """Twelve records, a second apart; a receipt over the first five cited in record 6, one over nine."""

    def __init__(self, *, ahead_s: int = 0, **other: Any) -> None:
        self.stream = Stream()
        self.stream.create()
        for number in range(1, 12):
            if number == 6:
                self.first = receipt(self.stream, 5, time_s=START_S + 5 + ahead_s)
                cite(self.stream, self.first, START_S + 5 + ahead_s)
            else:
                self.stream.add(**other.get(f"at_{number}", {}))
        self.second = receipt(self.stream, 9, time_s=START_S + 9 + ahead_s)

    def statements(self) -> list[Statement]:
        return [Statement("first", self.first), Statement("second", self.second)]

    def policy(self) -> Policy:
        return policy_for(self.stream)

    def bounds(
        self, *, policy: Policy | None = None, statements: list[Statement] | None = None
    ) -> list[TimeBounds]:
        records = [parse(data) for data in self.stream.records]
        given = self.statements() if statements is None else statements
        return list(bounds_of(records, given, policy=policy))


def times(bounds: list[TimeBounds]) -> list[tuple[int | None, int | None]]:
    return [
        (
            one.not_before.time_s - START_S if one.not_before else None,
            one.not_after.time_s - START_S if one.not_after else None,
        )
        for one in bounds
    ]


def test_each_record_lies_between_the_receipt_cited_before_it_and_the_first_that_covers_it() -> None:
    scene = Scene()
    bounds = scene.bounds(policy=scene.policy())
    assert times(bounds) == [(None, 5)] * 5 + [(None, 9)] * 2 + [(5, 9)] * 2 + [(5, None)] * 3
    assert {one.not_before.who for one in bounds if one.not_before} == {"auditor (store store.example)"}
    assert all(one.early_ns == one.late_ns == 0 for one in bounds)


def test_the_record_that_cites_a_receipt_is_not_bound_by_it() -> None:
    """Its own claim may be a moment before it learnt of the signature; only what follows came after."""
    scene = Scene()
    assert scene.bounds(policy=scene.policy())[6].not_before is None


def test_an_older_signature_over_more_counts_for_all_that_it_covers() -> None:
    scene = Scene()
    witness = receipt(scene.stream, 12, key=WITNESS, name="witness.example", time_s=START_S + 4)
    statements = [*scene.statements(), Statement("witness", witness)]
    bounds = scene.bounds(policy=scene.policy(), statements=statements)
    assert {after for _, after in times(bounds)} == {4}
    assert bounds[0].not_after is not None
    assert bounds[0].not_after.who == "institute (witness witness.example)"


def test_a_receipt_that_is_not_at_hand_is_only_the_gateways_note() -> None:
    scene = Scene()
    bounds = scene.bounds(policy=scene.policy(), statements=[])
    assert bounds[7].not_before is not None
    assert (bounds[7].not_before.time_s - START_S, bounds[7].not_before.proven) == (5, False)
    assert all(one.not_after is None for one in bounds)


def test_without_a_policy_nobodys_signature_counts() -> None:
    bounds = Scene().bounds(policy=None)
    assert not any(one.not_before.proven for one in bounds if one.not_before)
    assert all(one.not_after is None for one in bounds)


def test_a_stranger_who_signs_proves_nothing() -> None:
    scene = Scene()
    stranger = receipt(scene.stream, 12, name="elsewhere.example", time_s=START_S + 1)
    bounds = scene.bounds(policy=scene.policy(), statements=[Statement("stranger", stranger)])
    assert all(one.not_after is None for one in bounds)


def test_a_note_with_two_signatures_was_cited_after_the_later_one() -> None:
    scene = Scene()
    note = Note.parse(receipt(scene.stream, 12, time_s=START_S + 20))
    both = str(
        note.with_signature(cosign(note.text, name="witness.example", key=WITNESS, time_s=START_S + 30))
    )
    cite(scene.stream, both, START_S + 20)
    scene.stream.add()
    bounds = scene.bounds(policy=scene.policy(), statements=[Statement("both", both)])
    assert times(bounds)[-1] == (30, None)
    assert times(bounds)[11] == (5, 20)


def test_a_receipt_that_goes_back_in_time_does_not_weaken_what_was_proven() -> None:
    scene = Scene()
    older = receipt(scene.stream, 12, time_s=START_S - 100)
    cite(scene.stream, older, START_S - 100)
    scene.stream.add()
    statements = [*scene.statements(), Statement("older", older)]
    before = scene.bounds(policy=scene.policy(), statements=statements)[-1].not_before
    assert before is not None
    assert before.time_s == START_S + 5


def outside(scene: Scene) -> list[tuple[int | None, str]]:
    """Return what a verdict says of the times: the clock of the scene is set without a word, which breaks."""
    verdict = verify(scene.stream.records, policy=scene.policy(), statements=scene.statements())
    return [(remark.index, remark.text) for remark in verdict.remarks]


def shifted(seconds: int, *, bound_us: int | None = 900) -> Scene:
    """Return a scene whose gateway started anew with record 7 and says other times, with this bound."""
    scene = Scene()
    stream = scene.stream
    records = [parse(data) for data in stream.records]
    stream.records, stream.hashes = stream.records[:7], stream.hashes[:7]
    for members in records[7:]:
        del members["integrity"], members["clock"]["bound_us"]
        claimed_ns = (START_MS + members["sequence_no"] * 1000 + seconds * 1000) * 1_000_000
        members["ingested_at"] = to_rfc3339(claimed_ns)
        if members["sequence_no"] == 7:
            members["kind"] = "gateway.started"
        if bound_us is not None:
            members["clock"]["bound_us"] = bound_us
        stream.append(stream.seal(members))
    scene.second = receipt(stream, 9, time_s=START_S + 9)
    return scene


def test_a_claim_from_before_what_it_cites_is_one_remark_for_the_run() -> None:
    started, (index, text) = sorted(outside(shifted(-3600)), key=lambda one: "claim" in one[1])
    assert started == (7, "the clock moved by -3600.000 s while nothing was recorded")
    assert index == 7
    assert text.startswith(
        "records 7 to 11 claim to have been written up to 59 min earlier than possible by the clock of"
        " auditor (store store.example)"
    )


def test_a_claim_from_after_it_was_held_is_a_remark() -> None:
    (index, text), _ = outside(shifted(60))
    assert index == 7
    assert text.startswith("records 7 to 8 claim to have been written up to 57 s later than possible")


@pytest.mark.parametrize(("seconds", "bound_us"), [(-3600, 3_600_000_000), (60, 61_000_000)])
def test_a_clock_that_says_how_wrong_it_is_makes_no_remark(seconds: int, bound_us: int) -> None:
    ((_, text),) = outside(shifted(seconds, bound_us=bound_us))
    assert text.startswith("the clock moved by")


def test_a_clock_that_does_not_say_how_wrong_it_is_is_compared_like_any_other() -> None:
    (_, text), _ = outside(shifted(-3600, bound_us=None))
    assert text.endswith("and the gateway states no bound for its own")


def exported(scene: Scene, folder: Path) -> list[str]:
    """Write the stream as `export` does, and return the arguments that verify it."""
    records = folder / "line.ndjson"
    records.write_bytes(b"".join(data + b"\n" for data in scene.stream.records))
    records.with_suffix(".receipts").write_text(f"{scene.first}\x1e{scene.second}")
    (folder / "policy.json").write_bytes(scene.policy().canonical)
    return ["verify", str(records), "--policy", str(folder / "policy.json"), "--times"]


def test_verify_prints_the_times_beside_the_gateways_claim(tmp_path: Path) -> None:
    unit = {"resource": {"type": "result", "id": "7", "parent": {"type": "unit", "id": "SN1"}}}
    arguments = exported(Scene(at_7=unit, at_10=unit), tmp_path)
    found = CliRunner().invoke(app, [*arguments, "--unit", "SN1"])
    assert found.exit_code == 0
    rows = [line.split() for line in found.output.splitlines() if line.endswith("measurement.result")]
    assert rows == [
        [
            *("7", "2026-03-01T00:00:07.000Z", "0.001", "s"),
            *("2026-03-01T00:00:05Z", "2026-03-01T00:00:10Z", "measurement.result"),
        ],
        [
            *("10", "2026-03-01T00:00:10.000Z", "0.001", "s"),
            *("2026-03-01T00:00:05Z", "nobody", "says", "measurement.result"),
        ],
    ]
    assert "clock: auditor (store store.example)" in found.output


def test_verify_remarks_on_a_claim_outside_of_its_bounds_also_for_machines(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, [*exported(Scene(ahead_s=3600), tmp_path), "--json"])
    assert found.exit_code == 0
    verdict = json.loads(found.stdout)
    ((index, text),) = [(one["index"], one["text"]) for one in verdict["remarks"]]
    assert (index, "59 min earlier than possible" in text) == (0, True)
    assert [one["early_ms"] for one in verdict["times"]] == [0] * 7 + [
        3597999,
        3596999,
        3595999,
        3594999,
        3593999,
    ]
