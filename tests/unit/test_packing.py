import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from linewitness.evidence.format import keys, merkle, note
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.package import build, query, request
from linewitness.evidence.package.build import CannotPack, PackageLabel, pack_selection, pack_stream
from linewitness.evidence.package.first_receipts import spread
from linewitness.evidence.package.query import RecordQuery
from linewitness.evidence.package.request import PackageRequest
from linewitness.evidence.package.spool import RecordSpool
from linewitness.evidence.policy.policy import Attester, Policy
from linewitness.evidence.verify.selection import selection
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader
from support.browser_verifier import judge_with_page
from support.chain_builder import START_MS, Stream, grown
from support.clocks import ManualClock
from support.held_streams import HeldStream, key_records
from support.journals import IDENTITY, create, result_event, running
from support.packages import policy_for, receipt, subtree_of, verify_package
from support.zips import unzipped

LABEL = PackageLabel(title="Unit SN-4711", created_at="2026-03-02T00:00:00.000Z")


@pytest.fixture(scope="module")
def stream() -> Stream:
    return grown(60, rotate_every=9)


def packed(stream: Stream, path: Path, picked: list[int], **other: Any) -> int:
    given = {
        "origin": stream.origin,
        "selected": [(at, stream.records[at]) for at in picked],
        "key_records": key_records(stream),
        "receipt": receipt(stream, 50),
        "subtree": subtree_of(stream),
        "label": LABEL,
    }
    with path.open("wb") as file:
        return pack_selection(file, **(cast(Any, given | other)))


@pytest.mark.heavy
def test_a_selection_with_its_papers(stream: Stream, tmp_path: Path) -> None:
    path = tmp_path / "unit.zip"
    assert packed(stream, path, [11, 12, 29]) == 3
    policy = policy_for(stream)
    verdict = verify_package(path, policy=policy)
    assert verdict.text.startswith("INCLUDED: 3 selected records are unaltered and among the 50")
    assert judge_with_page(path, policy.canonical)["text"] == verdict.text
    files = unzipped(path)
    assert b"Unit SN-4711" in files["report.html"]
    assert files["keys.ndjson"].count(b"\n") == 4  # record 0, and the rotations 9, 18 and 27
    assert {"proofs/12.tlog-proof", "proofs/27.tlog-proof", "verify.html"} <= files.keys()
    assert "proofs/36.tlog-proof" not in files


def test_other_records_stay_undisclosed(stream: Stream, tmp_path: Path) -> None:
    packed(stream, tmp_path / "unit.zip", [11])
    everything = b"".join(unzipped(tmp_path / "unit.zip").values())
    assert b"11.50" in everything
    assert b"12.50" not in everything


def test_what_no_receipt_covers_is_not_packed(stream: Stream, tmp_path: Path) -> None:
    with pytest.raises(CannotPack, match="record 50 is not covered by the receipt over 50"):
        packed(stream, tmp_path / "a.zip", [50])
    with pytest.raises(CannotPack, match="nothing to pack"):
        packed(stream, tmp_path / "a.zip", [])


def test_a_whole_stream_with_its_papers(stream: Stream, tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    receipts = [(size, receipt(stream, size)) for size in (20, 60)]
    with path.open("wb") as file:
        count = pack_stream(
            file, origin=stream.origin, records=lambda: iter(stream.records), receipts=receipts, label=LABEL
        )
    assert count == 60
    assert verify_package(path, policy=policy_for(stream)).status == "COMPLETE"


@pytest.mark.heavy
async def test_one_unit_out_of_a_real_journal(tmp_path: Path) -> None:
    clock = ManualClock()
    create(tmp_path / "journal", clock)
    async with running(tmp_path / "journal", clock) as journal:
        for number in range(300):
            await journal.submit([result_event(number, clock, unit=f"SN{number % 30:04}")])
    store = keys.new_key()
    with JournalReader(tmp_path / "journal") as reader:
        tree = reader.tree()
        size = reader.size()
        rotations = [first - 1 for first, _ in reader.event_keys() if first]
        records = dict(reader.records())
        root = merkle.root_at(size, tree.subtree)
        assert root == reader.head().root
        log = reader.log_vkey
        record_0 = reader.record_0_hash
        unit = list(reader.of_unit("SN0007"))
        log_key = Keyring(tmp_path / "journal").load(LOG_KEY)
        signed = Checkpoint(IDENTITY.stream, size, root).sign(log_key)
        cosigned = note.cosign(signed.text, name="store.example", key=store, time_s=1_772_400_000)
        with (tmp_path / "unit.zip").open("wb") as file:
            pack_selection(
                file,
                origin=IDENTITY.stream,
                selected=unit,
                key_records=[(at, records[at]) for at in (0, *rotations)],
                receipt=str(signed.with_signature(cosigned)),
                subtree=tree.subtree,
                label=LABEL,
            )
    policy = Policy(
        origin=IDENTITY.stream,
        record_0=record_0,
        log_key=log,
        gateway_party="plant",
        attesters=(Attester("auditor", "store", keys.cosigner_vkey("store.example", store)),),
    )
    verdict = verify_package(tmp_path / "unit.zip", policy=policy)
    assert verdict.status == "INCLUDED", verdict.text
    assert verdict.selected == 10
    assert judge_with_page(tmp_path / "unit.zip", policy.canonical)["text"] == verdict.text


def test_too_many_records_are_refused_with_what_to_do(stream: Stream) -> None:
    with RecordSpool() as chosen, pytest.raises(CannotPack, match="more than 20 records") as refused:
        RecordQuery(since="2026").collect(HeldStream(stream, attested=50), chosen, most=20)
    assert "one package each" in refused.value.hint
    with RecordSpool() as chosen:
        RecordQuery(since="2026").collect(HeldStream(stream, attested=50), chosen, most=None)
        assert len(chosen) == 60


def test_chosen_records_come_in_their_order_and_once(stream: Stream) -> None:
    places = [7, 3, 11, 3, 0]
    with RecordSpool() as chosen:
        for at in places:
            chosen.add(at, stream.records[at])
        assert list(chosen) == [(at, stream.records[at]) for at in (0, 3, 7, 11)]
        assert chosen[-1] == (11, stream.records[11])
        assert chosen[1:3] == [(3, stream.records[3]), (7, stream.records[7])]


def test_progress_is_told_at_each_step_of_the_work(
    stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (query, build, request):
        monkeypatch.setattr(module, "_EVERY", 10)
    monkeypatch.setattr(selection, "BATCH", 16)
    steps: dict[str, tuple[int | None, list[int]]] = {}

    @contextmanager
    def stage(what: str, total: int) -> Iterator[Callable[..., Any]]:
        steps[what] = (total, [])
        yield steps[what][1].append

    def write(asked: RecordQuery) -> int:
        job = PackageRequest(
            holdings=HeldStream(stream, attested=50),
            query=asked,
            created_at=LABEL.created_at,
            policy=policy_for(stream),
        )
        with (tmp_path / "x.zip").open("wb") as file:
            return job.write(file, stage=cast(Any, stage))

    assert write(RecordQuery(until=json.loads(stream.records[45])["occurred_at"])) == 45
    assert steps == {
        "records looked at": (60, [10, 20, 30, 40, 50, 60]),
        "records verified": (45, [16, 32, 45]),
        "proofs packed": (45, [10, 20, 30, 40]),
    }
    steps.clear()
    assert write(RecordQuery()) == 60
    assert steps["records packed"] == (120, [*range(10, 121, 10)])
    assert steps["records verified"][1][-1] == 60


def test_of_many_receipts_some_of_all_times_are_packed() -> None:
    many = [(size, f"note {size}") for size in range(1, 2501)]
    few = spread(many, 1000)
    assert len(few) == len(set(few)) == 1000
    assert few[-1] == many[-1]
    sizes = [size for size, _ in few]
    assert sizes == sorted(sizes)
    assert max(after - before for before, after in pairwise([0, *sizes])) == 3
    assert spread(many[:7], 1000) == many[:7]


def test_receipts_over_more_than_is_packed_stay_out(stream: Stream, tmp_path: Path) -> None:
    """They came while a gateway went on: a package with them would lack records that they are about."""
    line = HeldStream(stream, attested=50)
    line.size = 40
    cast(Any, line).records = lambda: enumerate(stream.records[:40])
    cast(Any, line).notes = lambda: [receipt(stream, 30), receipt(stream, 50)]
    job = PackageRequest(holdings=line, query=RecordQuery(), created_at=LABEL.created_at)
    with (tmp_path / "x.zip").open("wb") as file:
        job.write(file)
    verdict = verify_package(tmp_path / "x.zip", policy=policy_for(stream))
    assert (verdict.status, verdict.attested, verdict.size) == ("INTACT", 30, 40)


@pytest.mark.heavy
def test_a_selection_carries_the_first_receipt_of_each_of_its_records(stream: Stream, tmp_path: Path) -> None:
    line, path = HeldStream(stream, attested=50), tmp_path / "x.zip"
    seen_s = {12: 20, 13: 21, 14: 22, 30: 130, 50: 2000, 60: 2100}
    cast(Any, line).notes = lambda: [
        receipt(stream, size, time_s=START_MS // 1000 + after_s) for size, after_s in seen_s.items()
    ]
    time = [json.loads(data)["occurred_at"] for data in stream.records]
    job = PackageRequest(
        holdings=line,
        query=RecordQuery(since=time[12], until=time[20]),
        created_at=LABEL.created_at,
        policy=policy_for(stream),
    )
    with path.open("wb") as file:
        job.write(file)
    names = [name for name in unzipped(path) if name.startswith("receipts/")]
    assert names == [
        f"receipts/{size}.{kind}" for size in (13, 14, 30) for kind in ("consistency", "receipt")
    ]
    policy = policy_for(stream)
    verdict = verify_package(path, policy=policy)
    page = judge_with_page(path, policy.canonical)
    assert [(late.first, late.last) for late in verdict.seen_late] == [(14, 19)]
    assert page["seen_late"] == verdict.to_json()["seen_late"]
    assert (verdict.status, page["remarks"]) == ("INCLUDED", list(verdict.to_json()["remarks"]))
