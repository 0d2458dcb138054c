"""Who is given the package of one unit learns nothing of the others: no text, no hash of what he guesses."""

import asyncio
import hashlib
import hmac
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from linewitness.evidence.format.raw import RawTelegram
from linewitness.journal.reader import JournalReader
from support.packages import verify_package
from support.unit_line import OURS, UNITS, make_units, unread
from support.unit_packages import Shown, attest, pack_unit, policy_of

#: A hash that is cut to less than these bytes is taken for an accident.
PART = 6
#: No key of an HMAC is longer.
BLOCK = 64


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the journal of a line that made six units, attested by a store."""
    folder = tmp_path_factory.mktemp("line")
    asyncio.run(make_units(folder))
    attest(folder / "journal")
    return folder / "journal"


def telegrams(journal: Path) -> set[bytes]:
    """Return each telegram that names another unit, byte by byte, and what a reader sends for its code."""
    with JournalReader(journal) as reader:
        all_of_them = [data for _, data in reader.raws("", 1000)]
    others = [unit for unit in UNITS if unit != OURS]
    seen = {data for data in all_of_them if any(unit.encode() in data for unit in others)}
    assert len(seen) >= 2 * len(others), "a code and a result of each unit"
    framed = {
        before + unit.encode() + after
        for unit in others
        for before in (b"", b"\x02", b"]C1")
        for after in (b"", b"\r", b"\n", b"\r\n", b"\x03", b"\x00")
    }
    return {each + end for each in seen | framed for end in (b"", b"\x00", b"\r", b"\r\n")}


def hashes(data: bytes, keys: list[bytes]) -> Iterator[bytes]:
    """Yield what somebody can compute of a text that he guesses, with all keys that he was shown."""
    for name in ("sha256", "sha1", "md5"):
        yield hashlib.new(name, data).digest()
        yield hashlib.new(name, b"\x00" + data).digest()
    for key in (b"", *keys):
        yield hmac.digest(key, data, "sha256")
        yield hashlib.sha256(key + data).digest()


def matched(journal: Path, shown: Shown) -> set[bytes]:
    """Return the telegrams of other units of which the package shows a hash, or the first part of one."""
    values = {value[: 2 * PART]: value for value in sorted(shown.hex_values, reverse=True)}
    keys = [token for token in shown.tokens if len(token) <= BLOCK]
    return {
        guess
        for guess in telegrams(journal)
        for digest in hashes(guess, keys)
        if digest.hex().startswith(values.get(digest[:PART].hex(), "no"))
    }


@pytest.mark.parametrize("raw", [False, True], ids=["records", "records and telegrams"])
def test_it_does_not_name_another_unit(plant: Path, tmp_path: Path, raw: bool) -> None:
    shown = Shown.by(pack_unit(plant, OURS, tmp_path / "unit.zip", raw=raw))
    assert OURS.encode() in shown.data
    named = [unit for unit in UNITS if unit != OURS and unit.encode() in shown.data]
    assert not named


@pytest.mark.parametrize("raw", [False, True], ids=["records", "records and telegrams"])
def test_no_value_in_it_is_a_hash_of_another_units_telegrams(plant: Path, tmp_path: Path, raw: bool) -> None:
    shown = Shown.by(pack_unit(plant, OURS, tmp_path / "unit.zip", raw=raw))
    assert not matched(plant, shown)


def test_it_brings_what_reader_and_tool_sent_of_this_unit(plant: Path, tmp_path: Path) -> None:
    package = pack_unit(plant, OURS, tmp_path / "unit.zip", raw=True)
    with zipfile.ZipFile(package) as archive:
        sent = [RawTelegram.parse(line).data for line in archive.read("raw.ndjson").splitlines()]
        records = [json.loads(line) for line in archive.read("records.ndjson").splitlines()]
    assert f"{OURS}".encode() in sent[0]
    assert any(data[4:8] == b"0061" and OURS.encode() in data for data in sent)
    naming = [record for record in records if "raw_hmac_sha256" in record["context"]]
    decisions = [record for record in naming if record["kind"] in {"unit.left", "gate.closed", "gate.opened"}]
    assert not decisions, "what the gateway concludes from another unit's code does not name its bytes"
    assert len(unread(naming)) == 1
    assert len(sent) == len(naming) - 1
    verdict = verify_package(package, policy=policy_of(plant))
    assert verdict.status == "INCLUDED"
    assert any(f"bytes of {len(sent)} records" in remark.text for remark in verdict.remarks)
