"""What an ended stream holds beyond the store's receipt is handed over, kept apart, and found again."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from linewitness.base.errors import ConfigurationError, ExitCode, JournalError
from linewitness.evidence.format.ended import StreamEnd, open_end, open_taken
from linewitness.evidence.format.note import BadNote
from linewitness.journal.generations.ended import rests_of
from linewitness.journal.reader import JournalReader
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.store.database.database import Database
from linewitness.store.database.errors import StoreError
from support.browser_verifier import judge_with_page
from support.clocks import ManualClock
from support.databases import databases, url_of
from support.ended_streams import EndedLine, Proof, pruned_to_its_receipt, restored
from support.journals import members_of, running
from support.lines import call
from support.packages import verify_package
from support.status_pages import Looked
from support.zips import unzipped, zipped

pytestmark = pytest.mark.heavy


@pytest.fixture
def line(both_databases: None, tmp_path: Path, clock: ManualClock) -> EndedLine:
    return restored(tmp_path, clock)


def altered(package: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Write the package again with one member changed."""
    members = unzipped(package)
    zipped(package, members | {name: change(members[name])})


def without_line(number: int) -> Callable[[bytes], bytes]:
    def cut(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        return b"".join(lines[:number] + lines[len(lines) if number < 0 else number + 1 :])

    return cut


def test_the_first_records_of_the_next_generation_name_what_has_no_receipt(line: EndedLine) -> None:
    with JournalReader(line.ended) as reader:
        head, log_vkey = reader.head(), reader.log_vkey
    for record in members_of(line.directory)[:2]:
        after = {change["field"]: change["after"] for change in record["changes"]}
        assert after["unreceipted_first"] == after["receipted_size"] == 4
        assert after["unreceipted_last"] == head.size - 1
        assert after["unreceipted"] == head.size - 4 == 4
        end = open_end(after["end"], log_vkey)
        assert end == StreamEnd(log_vkey.name, head.size, head.root, head.record_hash)


def test_results_of_the_fork_are_found_at_the_store_marked_as_what_they_are(line: EndedLine) -> None:
    assert "4 records of acme.example/ber-01/line-02/1" in line.hand_over()
    said = line.take_over()
    assert "taken over: 4 records of a fork of acme.example/ber-01/line-02/1, from record 4 on" in said
    mark = "from the ended fork of acme.example/ber-01/line-02/1, which leaves it at record 4"
    listed = line.good("store", "unit", line.store_file, "SN-FORK")
    assert listed.count(mark) == 2
    assert "no receipt" in listed
    kept = line.good("store", "unit", line.store_file, "SN-KEPT")
    assert "record 4 of acme.example/ber-01/line-02/1; with a receipt" in kept
    assert mark not in kept
    assert f"4 records {mark}" in line.good("store", "status", line.store_file)


def test_the_receipted_stream_is_untouched(line: EndedLine) -> None:
    origin = "acme.example/ber-01/line-02/1"
    before = [
        line.good("store", "export", line.store_file, "--stream", origin),
        line.good("store", "receipts", line.store_file, origin),
    ]
    line.hand_over()
    line.take_over()
    exported = call("store", "export", line.store_file, "--stream", origin)
    assert exported.stdout == before[0]
    assert "not exported: 4 records from the ended fork" in exported.stderr
    assert line.good("store", "receipts", line.store_file, origin) == before[1]
    ended = line.good("store", "export", line.store_file, "--ended", "--unit", "SN-LATER")
    assert [json.loads(data)["resource"]["parent"]["id"] for data in ended.splitlines()] == ["SN-LATER"]
    assert line.good("store", "check", line.store_file).startswith("sound")


@pytest.mark.parametrize("proof", ["conflict", "place"])
def test_a_fork_that_no_receipt_has_shown_is_handed_over_too(
    tmp_path: Path, clock: ManualClock, proof: Proof
) -> None:
    line = restored(tmp_path, clock, proof=proof)
    assert "4 records of acme.example/ber-01/line-02/1" in line.hand_over()
    assert not [name for name in unzipped(line.package) if name.startswith("receipts/")]
    assert "4 records of a fork of acme.example/ber-01/line-02/1, from record 4 on" in line.take_over()
    verdict = verify_package(line.package, policy=line.policy())
    assert verdict.status == "INTACT"


def test_the_same_again_is_recognised_and_says_the_same(line: EndedLine) -> None:
    line.hand_over()
    line.take_over()
    note = line.package.with_name("ended.zip.note")
    first = note.read_text()
    assert "held already: 4 records" in line.take_over()
    assert note.read_text() == first
    taken, _ = open_taken(first, line.cosigner.vkey)
    assert (taken.fork, taken.first, taken.size) == (True, 4, 8)


def test_status_warns_until_the_store_says_that_it_holds_the_records(line: EndedLine) -> None:
    status = line.good("status", line.line_file)
    assert "ended-1 holds 4 records of acme.example/ber-01/line-02/1 that the store does not have" in status
    assert "linewitness handover" in status
    line.hand_over()
    line.take_over()
    assert "ended-1 holds 4 records" in line.good("status", line.line_file), "the gateway was not told yet"
    note = line.package.with_name("ended.zip.note")
    line.good("handover", line.line_file, "--taken-over", note)
    assert "ended-1" not in line.good("status", line.line_file)
    assert "no ended generation" in line.good("handover", line.line_file)


async def test_the_running_gateway_warns_too(line: EndedLine) -> None:
    async with running(line.directory, line.clock) as journal:
        buffer = TelemetryBuffer(line.directory, max_bytes=2**20)
        looked = Looked(journal, buffer, line.clock, rests_of(line.directory))
        status, _, body = await looked.get("/healthz")
        buffer.close()
    assert status == 200, "a warning is no alarm"
    [problem] = json.loads(body)["problems"]
    assert (problem["code"], problem["subject"]) == ("ended-not-handed-over", "ended-1")
    assert "holds 4 records" in problem["what"]


def test_a_damaged_ended_journal_is_told_of_and_stops_nothing(line: EndedLine) -> None:
    database = line.ended / "journal.sqlite"
    data = bytearray(database.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    database.write_bytes(data)
    for beside in ("journal.sqlite-wal", "journal.sqlite-shm"):
        (line.ended / beside).unlink(missing_ok=True)
    assert "ended-1 holds records of a stream whose journal cannot be read" in line.good(
        "status", line.line_file
    )
    refused = call("handover", line.line_file, "--output", line.package)
    assert refused.exception.exit_code == ExitCode.JOURNAL
    assert not line.package.exists()
    shutil.move(line.ended, line.folder / "archive")
    assert "ended-1" not in line.good("status", line.line_file)


def test_a_statement_of_somebody_else_ends_no_warning(line: EndedLine) -> None:
    line.hand_over()
    line.take_over()
    note = line.package.with_name("ended.zip.note")
    note.write_text(note.read_text().replace("\n8\n", "\n9\n"))
    refused = call("handover", line.line_file, "--taken-over", note)
    assert isinstance(refused.exception, BadNote)
    assert "ended-1 holds 4 records" in line.good("status", line.line_file)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_tampered_package_is_refused_with_the_records_number(line: EndedLine, number: int) -> None:
    line.hand_over()

    def tamper(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        lines[number] = lines[number].replace(b'"clock":{', b'"clock":{ ', 1)
        return b"".join(lines)

    altered(line.package, "records.ndjson", tamper)
    refused = call("store", "take-over", line.store_file, line.package)
    assert refused.exception.exit_code == ExitCode.BROKEN
    assert f"BROKEN at record {4 + number}" in str(refused.exception)
    assert "there are no records" in line.good("store", "unit", line.store_file, "SN-FORK")


@pytest.mark.parametrize(("number", "broken"), [(-1, 6), (1, 5)])
def test_a_record_that_was_left_out_is_named(line: EndedLine, number: int, broken: int) -> None:
    line.hand_over()
    altered(line.package, "records.ndjson", without_line(number))
    refused = call("store", "take-over", line.store_file, line.package)
    assert f"BROKEN at record {broken}" in str(refused.exception)
    assert verify_package(line.package, policy=line.policy()).broken_at == broken


def test_a_stream_that_nobody_enrolled_is_refused(line: EndedLine, tmp_path: Path) -> None:
    line.hand_over()
    other = tmp_path / "other"
    other.mkdir()
    line.write_store(other)
    line.good("store", "init", other / "store.yaml")
    refused = call("store", "take-over", other / "store.yaml", line.package)
    assert isinstance(refused.exception, ConfigurationError)
    assert "is not enrolled here" in refused.exception.what


def test_a_store_that_lacks_what_comes_before_says_so(line: EndedLine, tmp_path: Path) -> None:
    line.hand_over()
    other = tmp_path / "other"
    other.mkdir()
    line.write_store(other)
    line.good("store", "init", other / "store.yaml")
    policy = line.policy()
    line.good(
        *("store", "enroll", other / "store.yaml", "--tenant", "acme", "--gateway", "gw-02"),
        *("--log-vkey", policy.log_key, "--record0", policy.record_0),
    )
    refused = call("store", "take-over", other / "store.yaml", line.package)
    assert "begins with record 4" in refused.exception.what


def test_verify_says_intact_and_that_it_is_a_fork(line: EndedLine) -> None:
    line.hand_over()
    verdict = verify_package(line.package, policy=line.policy())
    assert (verdict.status, verdict.size, verdict.selected, verdict.attested) == ("INTACT", 8, 4, 0)
    said = " ".join(remark.text for remark in verdict.remarks)
    assert "the 4 records before it are not in this package; signed by" in said
    assert "the log key states that the stream ended with 8 records" in said
    assert "this is a fork" in said
    assert "signed other records among the first 6" in said
    refused = call("verify", line.package)
    assert "without a policy" in refused.exception.what


def test_the_page_refuses_a_handover_and_calls_nothing_broken(line: EndedLine) -> None:
    line.hand_over()
    said = judge_with_page(line.package, line.policy().canonical)
    assert said["status"] == "REFUSED"
    assert "ended.note" in said["text"]


def test_without_any_receipt_the_whole_stream_is_handed_over(tmp_path: Path, clock: ManualClock) -> None:
    line = restored(tmp_path, clock, before=0)
    line.hand_over()
    assert "taken over: 4 records of a fork" in line.take_over(), "record 0 is common"
    assert line.good("store", "unit", line.store_file, "SN-FORK").count("ended fork") == 2
    assert "INTACT, 5 selected records" in line.good("verify", line.package)
    assert verify_package(line.package, policy=line.policy()).status == "INTACT"


def test_what_was_pruned_is_not_needed(tmp_path: Path, clock: ManualClock) -> None:
    line = pruned_to_its_receipt(tmp_path, clock)
    with JournalReader(line.ended) as reader:
        assert [number for number, _ in reader.records()] == [0, 2, 256]
    line.hand_over()
    verdict = verify_package(line.package, policy=line.policy())
    assert (verdict.status, verdict.size, verdict.selected) == ("INTACT", 257, 1)
    altered(line.package, "proofs/edge", lambda data: data.swapcase())
    assert verify_package(line.package, policy=line.policy()).status == "BROKEN"
    assert "1 record of the rest" in line.take_over()


def test_what_a_stream_without_a_fork_had_left_is_its_rest(tmp_path: Path, clock: ManualClock) -> None:
    line = EndedLine(tmp_path, clock)
    line.work("SN-1")
    line.receipt()
    line.work("SN-2")
    said = line.end("--reason", "the log key was stolen")
    assert "ended-1 holds 1 record of acme.example/ber-01/line-02/1 that the store does not have" in said
    line.hand_over()
    assert "1 record of the rest of acme.example/ber-01/line-02/1, from record 2 on" in line.take_over()
    listed = line.good("store", "unit", line.store_file, "SN-2")
    assert "from the end of acme.example/ber-01/line-02/1, which was handed over" in listed


def test_records_that_the_store_has_without_our_knowing_are_not_held_twice(
    tmp_path: Path, clock: ManualClock
) -> None:
    line = EndedLine(tmp_path, clock)
    line.work("SN-1")
    line.image()
    line.receipt()
    line.restore()  # the receipt was lost on the way
    line.end("--reason", "moved")
    line.hand_over()
    assert "nothing to take over" in line.take_over()
    assert "ended" not in line.good("store", "unit", line.store_file, "SN-1")
    line.good("handover", line.line_file, "--taken-over", line.package.with_name("ended.zip.note"))
    assert "ended-1" not in line.good("status", line.line_file)


def test_an_end_that_the_log_key_did_not_sign_is_shown_by_the_next_generation(
    tmp_path: Path, clock: ManualClock
) -> None:
    line = EndedLine(tmp_path, clock)
    line.work("SN-1")
    line.receipt()
    line.work("SN-2")
    (line.directory / "keys" / "log.key").unlink()
    line.end()
    line.hand_over()
    said = verify_package(line.package, policy=line.policy()).remarks
    assert any("nothing shows that the stream ended here" in remark.text for remark in said)
    refused = call("store", "take-over", line.store_file, line.package)
    assert isinstance(refused.exception, ConfigurationError)
    assert "nothing shows where" in refused.exception.what
    line.receipt()  # the store gets record 0 of the next generation
    whole = line.package.read_bytes()
    altered(line.package, "records.ndjson", lambda _: b"")
    assert isinstance(call("store", "take-over", line.store_file, line.package).exception, Exception)
    line.package.write_bytes(whole)
    assert "taken over: 1 record of" in line.take_over()


def test_a_takeover_that_was_cut_short_is_finished_by_the_next(
    line: EndedLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from linewitness.store.ended import takeover  # noqa: PLC0415 (patched here alone)

    line.hand_over()
    with monkeypatch.context() as patch:
        patch.setattr(takeover, "STEP", 2)
        patch.setattr(takeover._Takeover, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        call("store", "take-over", line.store_file, line.package)
    assert "ended" not in line.good("store", "status", line.store_file)
    counted = "SELECT COUNT(*) FROM handover_records"
    with databases.tampering(line.folder / "store.db") as connection:
        assert connection.exec_driver_sql(counted).scalar_one() == 4
    assert "taken over: 4 records" in line.take_over()
    with databases.tampering(line.folder / "store.db") as connection:
        assert connection.exec_driver_sql(counted).scalar_one() == 4


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE handover_records SET unit = 'SN-X' WHERE seq = 5",
        "DELETE FROM handover_records WHERE seq = 6",
        "UPDATE handover_records SET data = (SELECT data FROM handover_records WHERE seq = 4) WHERE seq = 7",
        "UPDATE handovers SET first = 5",
    ],
)
def test_damage_to_what_was_handed_over_is_found(line: EndedLine, damage: str) -> None:
    line.hand_over()
    line.take_over()
    database = Database(url_of(line.folder / "store.db"))
    with (
        pytest.raises(StoreError, match=r"never changed|permission denied"),
        database.writing("acme") as written,
    ):
        written.exec_driver_sql(damage)
    database.close()
    assert databases.tamper(line.folder / "store.db", damage) > 0
    found = call("store", "check", line.store_file)
    assert found.exit_code == ExitCode.BROKEN
    assert "handed over" in found.output


def test_a_store_of_an_earlier_version_takes_over_too(tmp_path: Path, clock: ManualClock) -> None:
    line = restored(tmp_path, clock)
    with sqlite3.connect(line.folder / "store.db") as connection:
        connection.executescript(
            "DROP TABLE handover_records; DROP TABLE handover_ends; DROP TABLE handovers"
        )
    assert "conflicts 0" in line.good("store", "status", line.store_file)
    assert line.good("store", "check", line.store_file).startswith("sound")
    line.hand_over()
    assert "taken over: 4 records" in line.take_over()


def test_a_running_journal_and_a_package_of_another_kind_are_no_handover(
    line: EndedLine, tmp_path: Path
) -> None:
    selection = tmp_path / "unit.zip"
    origin = "acme.example/ber-01/line-02/1"
    line.good(*("store", "export", line.store_file, "--stream", origin, "--unit", "SN-KEPT", "-o", selection))
    refused = call("store", "take-over", line.store_file, selection)
    assert "is not a handover" in refused.exception.what
    line.hand_over()
    again = call("handover", line.line_file, "--output", line.package)
    assert "already" in again.exception.what
    assert isinstance(again.exception, ConfigurationError | JournalError)
