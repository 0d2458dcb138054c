"""What somebody can do to a journal of which the store holds the older records alone.

A journal is judged by `linewitness verify`; the packages that are made from it by all machine verifiers.
"""

import json
import shutil
import sqlite3
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import NS_PER_S
from linewitness.evidence.format import keys, merkle, record
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.note import cosign
from linewitness.evidence.package.build import PackageLabel, pack_selection
from linewitness.evidence.policy.policy import Attester, Policy
from linewitness.journal.attestations import PRUNED, StoredReceipt
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from support.browser_verifier import judge_with_page
from support.clocks import ManualClock
from support.journals import create, reopen, result_event
from support.lines import call
from support.packages import STORE, Judge, judge_with_python

SIZE = 900
BOUNDARY = 512
RECEIPTS = (500, 700, 860)
AT = "2026-03-01T08:00:00.000Z"


class Victim:
    """A journal of 900 records with receipts over 500, 700 and 860, of which 512 were pruned."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.directory = folder / "journal"
        create(self.directory, clock)
        file = reopen(self.directory, clock)
        for first in range(0, SIZE - 3, 50):
            events = [
                (number, result_event(number, clock, f"SN{number // 100}"))
                for number in range(first, min(first + 50, SIZE - 3))
            ]
            file.append(
                [Submission(events=(event,), rotate=number in (200, 600)) for number, event in events]
            )
            clock.advance_ns(NS_PER_S)
        with JournalReader(self.directory) as reader:
            assert reader.size() == SIZE
            origin, subtree = reader.identity.stream, reader.tree().subtree
            for size in RECEIPTS:
                note = Checkpoint(origin, size, merkle.root_at(size, subtree))
                signed = note.sign(Keyring(self.directory).load(LOG_KEY))
                now_s = clock.realtime_ns // NS_PER_S
                signature = cosign(note.text, name="store.example", key=STORE, time_s=now_s)
                receipt = StoredReceipt(size, str(signed.with_signature(signature)), AT)
                file.append([Submission(receipt=receipt)])
            self.policy = Policy(
                origin=origin,
                record_0=reader.record_0_hash,
                log_key=reader.log_vkey,
                gateway_party="the plant",
                attesters=(Attester("the customer", "store", keys.cosigner_vkey("store.example", STORE)),),
            ).canonical
            self.rotations = [at for at, _ in reader.key_records()]
        file.append([Submission(state={PRUNED: str(BOUNDARY)})])
        while not file.prune(BOUNDARY, most=1000):
            pass
        file.close()
        (folder / "policy.json").write_bytes(self.policy)

    def forge(self, sql: str, *values: object) -> None:
        """Change the file with the triggers that protect it out of the way."""
        connection = sqlite3.connect(self.directory / "journal.sqlite")
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        assert connection.execute(sql, values).rowcount > 0
        connection.commit()
        connection.close()

    def edit(self, at: int, change: Callable[[bytes], bytes]) -> None:
        with JournalReader(self.directory) as reader:
            ((_, data),) = reader.records(at, at + 1)
        assert change(data) != data
        self.forge("UPDATE record SET bytes = ? WHERE seq = ?", change(data), at)

    def is_signed(self, number: int) -> bool:
        """Return whether a record bears a signature of its own."""
        with JournalReader(self.directory) as reader:
            return any(record.is_signed(data) for _, data in reader.records(number, number + 1))

    def rewrite(self, first: int, last: int) -> None:
        """Sign records again from `first` on, as a thief of the event key of now can do."""
        (file,) = (path for path in (self.directory / "keys").iterdir() if path.stem != LOG_KEY)
        key = Keyring(self.directory).load(file.stem)
        with JournalReader(self.directory) as reader:
            found = [record.parse(data) for _, data in reader.records(first - 1, last)]
        link = found[0]["integrity"]["record_hash"]
        for members in found[1:]:
            integrity = members.pop("integrity")
            if members["sequence_no"] == first:
                members["reason"] = "invented"
            drafted = record.draft(
                members, stream=integrity["stream"], key_id=integrity["key_id"], prev_hash=link
            )
            data, link = drafted.data(key.sign(drafted.message).signature), drafted.record_hash
            self.forge("UPDATE record SET bytes = ? WHERE seq = ?", data, members["sequence_no"])

    def verdict(self) -> dict[str, Any]:
        done = call("verify", self.directory, "--policy", self.directory.parent / "policy.json", "--json")
        assert done.output, done.exception
        found = json.loads(done.output)
        assert done.exit_code == (found["status"] == "BROKEN")
        value: dict[str, Any] = found
        return value

    def package(self, path: Path, unit: str) -> Path:
        """Make the package of a unit, without looking at what is packed."""
        with JournalReader(self.directory) as reader, path.open("wb") as file:
            pack_selection(
                file,
                origin=reader.identity.stream,
                selected=[(at, data) for at, data in reader.of_unit(unit) if at < RECEIPTS[-1]],
                key_records=list(reader.key_records()),
                receipt=dict(reader.receipts())[RECEIPTS[-1]],
                subtree=reader.tree().subtree,
                label=PackageLabel(title=unit, created_at=AT),
            )
        return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    return Victim(tmp_path_factory.mktemp("whole"), ManualClock())


@pytest.fixture
def victim(whole: Victim, tmp_path: Path) -> Victim:
    """A copy to be spoiled."""
    shutil.copytree(whole.directory.parent, tmp_path, dirs_exist_ok=True)
    one = copy(whole)
    one.directory = tmp_path / "journal"
    return one


def broken(found: dict[str, Any], at: int, *words: str) -> None:
    assert (found["status"], found["broken_at"]) == ("BROKEN", at), found["text"]
    for word in words:
        assert word in found["text"]


def altered(data: bytes) -> bytes:
    return data.replace(b"12.30", b"12.31", 1)


def test_the_victim_is_included_and_its_newest_records_are_spoken_of(victim: Victim) -> None:
    found = victim.verdict()
    assert found["text"].startswith("INCLUDED: 348 selected records are unaltered and among the 860 attested")
    assert found["size"] == 860
    assert found["remarks"] == [
        {
            "index": 860,
            "text": "the last 40 records follow unaltered, and nobody outside has attested them yet",
        }
    ]


@pytest.mark.parametrize("at", [512, 513, 600, 767, 768, 800, 859, 860, 899])
def test_an_edited_record_is_named_wherever_it_is(victim: Victim, at: int) -> None:
    """From record 768 on the tile is open: what the tree holds of it is made from the records themselves."""
    victim.edit(at, lambda data: data.replace(b'"reason":"', b'"reason":"not '))
    broken(victim.verdict(), at, "hash")


@pytest.mark.parametrize("at", [600, 800])
def test_a_deleted_record_is_named(victim: Victim, at: int) -> None:
    victim.forge("DELETE FROM record WHERE seq = ?", at)
    broken(victim.verdict(), at, "sequence_no")


def test_a_missing_end_is_named(victim: Victim) -> None:
    (end,) = [number for number in range(845, 855) if victim.is_signed(number)][:1]
    victim.forge("DELETE FROM record WHERE seq > ?", end)
    broken(victim.verdict(), end + 1, "missing", "store.example")


def test_an_end_that_is_missing_within_a_commit_is_named(victim: Victim) -> None:
    (end,) = [number for number in range(845, 855) if not victim.is_signed(number)][:1]
    victim.forge("DELETE FROM record WHERE seq > ?", end)
    broken(victim.verdict(), end, "the rest of its commit is missing")


def test_records_of_a_full_tile_that_are_signed_again_are_named(victim: Victim) -> None:
    """The tile still knows what the store attested, so the first of them is known."""
    victim.rewrite(650, SIZE)
    broken(victim.verdict(), 650, "the tree holds the hash")


def test_records_of_the_open_tile_that_are_signed_again_lie_between_two_receipts(victim: Victim) -> None:
    """Nobody kept their hashes but in roots: it is sure that one of these records is another, not which."""
    victim.rewrite(800, SIZE)
    broken(victim.verdict(), 700, "from here up to record 859 there are other records", "store.example")


def test_what_is_signed_again_after_the_last_receipt_is_not_found_and_not_vouched_for(victim: Victim) -> None:
    victim.rewrite(870, SIZE)
    found = victim.verdict()
    assert found["status"] == "INCLUDED"
    assert found["size"] == 860
    assert "nobody outside has attested them" in found["remarks"][0]["text"]


@pytest.mark.parametrize("index", [0, 1])
def test_an_edited_key_record_is_named(victim: Victim, index: int) -> None:
    at = victim.rotations[index]
    victim.edit(at, lambda data: data.replace(b'"reason":"', b'"reason":"not '))
    broken(victim.verdict(), at)


def test_a_key_record_that_is_gone_shows_at_the_first_record_of_its_key(victim: Victim) -> None:
    victim.forge("DELETE FROM event_key WHERE first_seq = ?", victim.rotations[1] + 1)
    broken(victim.verdict(), BOUNDARY, "the active key is")


def test_a_leaf_of_a_pruned_record_that_was_changed_shows_in_the_roots(victim: Victim) -> None:
    victim.forge("UPDATE node SET hash = zeroblob(32) WHERE level = 8 AND idx = 0")
    broken(victim.verdict(), 0, "other records")


@pytest.mark.parametrize("judge", [judge_with_python, judge_with_page])
def test_a_package_of_the_edited_record_names_it(victim: Victim, tmp_path: Path, judge: Judge) -> None:
    """All proofs lead to another root; the altered record is named all the same, as it is wrong in itself."""
    victim.edit(810, altered)
    broken(judge(victim.package(tmp_path / "sn8.zip", "SN8"), victim.policy), 810, "hashes to")


@pytest.mark.parametrize("judge", [judge_with_python, judge_with_page])
def test_a_package_of_other_records_says_that_it_cannot_be_known_which(
    victim: Victim, tmp_path: Path, judge: Judge
) -> None:
    victim.edit(810, altered)
    found = judge(victim.package(tmp_path / "sn7.zip", "SN7"), victim.policy)
    broken(found, 0, "neither does any other proof: somewhere from record 0 to record 859 there is another")


def test_such_a_package_is_not_made(victim: Victim, tmp_path: Path) -> None:
    victim.edit(810, altered)
    done = call("export", victim.directory, "--unit", "SN7", "-o", tmp_path / "sn7.zip")
    assert "are not those that were attested" in str(done.exception)
    assert "linewitness verify" in done.exception.hint
    assert not (tmp_path / "sn7.zip").exists()


def test_times_of_what_is_left_are_shown(victim: Victim) -> None:
    done = call("verify", victim.directory, "--policy", victim.directory.parent / "policy.json", "--times")
    assert done.exit_code == 0, done.output
    rows = [line for line in done.output.splitlines() if line.split()[:1] in (["512"], ["899"], ["0"])]
    assert len(rows) == 3
    assert "clock: the customer (store store.example)" in done.output
    times = json.loads(
        call(
            "verify",
            victim.directory,
            "--policy",
            victim.directory.parent / "policy.json",
            "--times",
            "--json",
        ).output
    )["times"]
    assert [row["sequence_no"] for row in times] == [*victim.rotations[:2], *range(BOUNDARY, SIZE)]
    by_number = {row["sequence_no"]: row for row in times}
    assert by_number[859]["not_after"]["who"] == "the customer (store store.example)"
    assert by_number[860]["not_after"] is None
