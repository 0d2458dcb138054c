"""Forward and backward: which units had a component or a lot, from a journal and from a store."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from linewitness.base.clock import SystemClock
from linewitness.base.errors import ConfigurationError
from linewitness.cli import app
from linewitness.cli.sources import load_store
from linewitness.evidence.format.record import parse, unit_of
from linewitness.evidence.history.trace import ComponentQuery
from linewitness.evidence.package.query import RecordQuery
from linewitness.evidence.package.spool import RecordSpool
from linewitness.journal.holdings import JournalHoldings
from linewitness.journal.reader import JournalReader
from linewitness.store.database.database import Database
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import StoreLedger
from support.checklists import Line, kitting
from support.databases import url_of
from support.fake_gateway import FakeGateway
from support.packages import verify_package
from support.unit_packages import attest, pack, policy_of
from support.zips import unzipped

YAML = """\
database: sqlite:///data/store.db
name: store.example
key:
  file: store.key
mqtt:
  url: mqtt://127.0.0.1
"""
SEALS = {"part": "seal", "lot": "L-1"}


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def good(*arguments: Any) -> str:
    done = run(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    kitting().into_journal(tmp_path / "journal")
    attest(tmp_path / "journal")
    return tmp_path / "journal"


def records_of(package: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in unzipped(package)["records.ndjson"].splitlines()]


@pytest.mark.parametrize(
    ("asked", "holding", "removed"),
    [
        (SEALS, ["SN1", "SN2"], ["SN3"]),
        ({"part": "seal", "lot": "L-2"}, ["SN3"], ["SN2"]),
        ({"part": "seal", "serial": "S-3"}, ["SN2"], []),
        ({"part": "seal", "serial": "S-4"}, [], ["SN3"]),
        ({"part": "cap", "lot": "L-1"}, ["SN4"], []),
        ({"part": "glue", "lot": "G-7"}, ["SN1", "SN2", "SN3"], []),
        ({"part": "glue", "lot": "G-8"}, ["SN4"], []),
        ({"part": "seal", "serial": "L-1"}, [], []),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else None,
)
def test_each_lot_and_serial_number_leads_to_its_units(
    journal: Path, asked: dict[str, str], holding: list[str], removed: list[str]
) -> None:
    with JournalReader(journal) as reader, RecordSpool() as spool:
        query = RecordQuery(components=(ComponentQuery(**asked),))
        trace = query.collect(JournalHoldings(reader), spool)
        units = {unit_of(parse(data)) for _, data in spool} - {None}
    assert (trace.holding, trace.removed) == (holding, removed)
    assert units == {*holding, *removed}


def test_the_package_of_a_lot_holds_all_of_its_units_and_shows_it(journal: Path, tmp_path: Path) -> None:
    query = RecordQuery(components=(ComponentQuery(**SEALS),))
    package = pack(journal, query, tmp_path / "lot.zip")
    held = records_of(package)
    assert [record["kind"] for record in held].count("unit.left") == 5
    # The glue that was loaded before any of them came met a requirement of theirs.
    assert [record["resource"]["id"] for record in held if record["kind"] == "material.loaded"] == [
        "glue/G-7"
    ]
    verdict = verify_package(package, policy=policy_of(journal))
    assert (verdict.status, verdict.remarks) == ("INCLUDED", ())
    manifest = json.loads(unzipped(package)["manifest.json"])
    assert manifest["note"].startswith("Part seal lot L-1 of ")
    assert manifest["asked"]["components"] == [SEALS]


def test_the_package_of_a_unit_holds_what_met_it_and_nothing_of_others(journal: Path, tmp_path: Path) -> None:
    package = pack(journal, RecordQuery(units=("SN3",)), tmp_path / "SN3.zip")
    held = records_of(package)
    assert held[0]["resource"]["id"] == "glue/G-7"
    assert {unit_of(record) for record in held} == {None, "SN3"}
    assert "G-8" not in json.dumps(held)
    verdict = verify_package(package, policy=policy_of(journal))
    assert (verdict.status, verdict.remarks) == ("INCLUDED", ())
    report = unzipped(package)["report.html"].decode()
    assert "attempt 1: not complete → attempt 2: complete" in report


def test_a_removal_whose_beginning_was_pruned_is_of_a_unit_that_had_it(tmp_path: Path) -> None:
    line = Line()
    line.removed("SN9", "seal", "S-9", "L-9")
    line.into_journal(tmp_path / "journal")
    with JournalReader(tmp_path / "journal") as reader, RecordSpool() as spool:
        query = RecordQuery(components=(ComponentQuery(part="seal", serial="S-9"),))
        trace = query.collect(JournalHoldings(reader), spool)
    assert (trace.holding, trace.removed) == ([], ["SN9"])


def test_a_unit_whose_removed_component_comes_back_has_it(tmp_path: Path) -> None:
    line = Line()
    line.installed("SN9", "seal", "S-9", "L-9")
    line.removed("SN9", "seal", "S-9", "L-9")
    line.installed("SN9", "seal", "S-9", "L-9")
    line.into_journal(tmp_path / "journal")
    with JournalReader(tmp_path / "journal") as reader, RecordSpool() as spool:
        query = RecordQuery(components=(ComponentQuery(part="seal", lot="L-9"),))
        trace = query.collect(JournalHoldings(reader), spool)
    assert (trace.holding, trace.removed) == (["SN9"], [])


@pytest.mark.heavy
def test_export_and_unit_as_a_person_types_them(journal: Path, tmp_path: Path) -> None:
    said = good("export", journal, "--part", "seal", "--lot", "L-1", "-o", tmp_path / "a.zip")
    assert "Part seal lot L-1 is in 2 units: SN1, SN2\n" in said
    assert "Part seal lot L-1 was removed from 1 unit: SN3\n" in said
    assert verify_package(tmp_path / "a.zip", policy=policy_of(journal)).status == "INCLUDED"
    listed = good("unit", journal, "SN3")
    assert "checklist at bolting: attempt 1: not complete → attempt 2: complete\n" in listed
    assert "missing: the test (component), 0 of 1\n" in listed
    assert "done: the glue (component), 1 of 1; met by record 1 by scan-10\n" in listed
    assert "seal S-4, lot L-1, quantity 1, position A1: installed 2026-03-01T" in listed
    assert "by scan-10 (record 16): damaged\n" in listed
    assert "SN2" not in listed
    for wrong in (
        ["--part", "seal"],
        ["--lot", "L-1"],
        ["--part", "seal", "--lot", "L-1", "--serial", "S-1"],
    ):
        done = run("export", journal, *wrong)
        assert isinstance(done.exception, ConfigurationError), done.output
        assert "by its part" in str(done.exception)


@pytest.mark.heavy
@pytest.mark.usefixtures("both_databases")
def test_the_store_answers_the_same(tmp_path: Path) -> None:
    gateway, file = FakeGateway(), tmp_path / "store.yaml"
    file.write_text(YAML.replace("sqlite:///data/store.db", url_of(file.parent / "data" / "store.db")))
    kitting().into_gateway(gateway)
    good("store", "init", file)
    whose = ["--tenant", gateway.tenant, "--gateway", gateway.gateway]
    good("store", "enroll", file, *whose, "--log-vkey", gateway.log_vkey, "--record0", gateway.record0_hash)
    options = load_store(file)
    database = Database(options.database_url)
    ledger = StoreLedger(
        database=database, cosigner=Cosigner.load(options.name, options.key), clock=SystemClock()
    )
    topics = gateway.topics
    ledger.process([(topics.records, gateway.batch()), (topics.checkpoint, gateway.checkpoint())])
    database.close()
    said = good("store", "export", file, "--part", "seal", "--lot", "L-1", "-o", tmp_path / "a.zip")
    assert "is in 2 units: SN1, SN2\n" in said
    assert "was removed from 1 unit: SN3\n" in said
    assert {unit_of(record) for record in records_of(tmp_path / "a.zip")} == {None, "SN1", "SN2", "SN3"}
    listed = good("store", "unit", file, "SN2")
    assert "checklist at bolting: attempt 1: not complete → attempt 2: complete\n" in listed
    assert "seal S-2, lot L-2, quantity 1, position A1: installed " in listed
