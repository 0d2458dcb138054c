"""Who is given the package of one unit learns nothing of the others: no text, no hash of what he guesses."""

import asyncio
import hashlib
import hmac
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from linewitness.devices.scanner.options import ScannerOptions
from linewitness.evidence.format.raw import RawTelegram
from linewitness.gateway.intake.arrival import PAUSE_NS
from linewitness.journal.reader import JournalReader
from linewitness.stations.options import GateOptions, UnitOptions
from linewitness_simulators.scanner.server import RunningScanner, ScannerSimulation
from linewitness_simulators.scanner.server import serve as serve_scanner
from linewitness_simulators.torque import serve
from linewitness_simulators.torque.server import TorqueSimulator
from support.packages import verify_package
from support.torque_line import Line, fields_of, line, ready, station, wrench
from support.unit_packages import Shown, attest, pack_unit, policy_of
from support.waiting import until

UNITS = [f"SN{7 * number:04d}" for number in range(1, 7)]
#: The unit whose package somebody is given: it has a predecessor and successors.
OURS = UNITS[2]
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


async def make_units(folder: Path) -> None:
    """Let a line with a reader, a tool and a gate make the units."""
    place = station(
        "reader-10",
        "wrench-10",
        unit=UnitOptions(scanner="reader-10", pattern=r"SN\d{4}"),
        gate=GateOptions(device="wrench-10", hold=("not_ok",)),
    )
    async with serve() as simulator, serve_scanner(ScannerSimulation()) as reader:
        options = ScannerOptions(
            id="reader-10", driver="scanner", host="127.0.0.1", port=reader.port, settle_ms=0
        )
        async with line(folder, [wrench(simulator), options], [place]) as running:
            await ready(simulator)
            await until(lambda: reader.clients > 0)
            for made, unit in enumerate(UNITS):
                await make_unit(unit, made, running, reader, simulator)


async def make_unit(
    unit: str, made: int, running: Line, reader: RunningScanner, simulator: TorqueSimulator
) -> None:
    """Scan a unit after `made` others, and tighten it twice; the first result arrives damaged."""
    await reader.scan(unit)
    await until(lambda: len(running.records("unit.entered")) > made, unit)
    await asyncio.sleep(
        PAUSE_NS / 1e9
    )  # what a tool sends soon after a confirmation may be of the unit before
    simulator.controller.enable_tool(True)
    simulator.faults.corrupt_results = 1
    simulator.tighten(unit)
    await until(lambda: len(unread(running.records())) > made, f"the damaged result of {unit}")
    # The gate has locked the tool, and does it again. The next id shows that one is missing.
    await until(lambda: not simulator.controller.state.tool_enabled, "the lock")
    simulator.controller.enable_tool(True)
    simulator.tighten(unit, ok=False)
    await until(lambda: {2 * made + 1, 2 * made + 2} <= set(running.ids()), f"both results of {unit}")


def unread(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records of results that could not be decoded."""
    return [record for record in records if fields_of(record).get("decoded") is False]


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
    assert any(record["kind"] == "unit.left" for record in decisions)
    assert len(unread(naming)) == 1
    assert len(sent) == len(naming) - len(decisions) - 1
    verdict = verify_package(package, policy=policy_of(plant))
    assert verdict.status == "INCLUDED"
    assert any(f"bytes of {len(sent)} records" in remark.text for remark in verdict.remarks)
