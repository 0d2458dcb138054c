"""A unit that crossed two lines: one answer of the store, one package, and what three verifiers say of it."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from linewitness.base.clock import SystemClock
from linewitness.base.errors import ExitCode
from linewitness.cli import app
from linewitness.evidence.format.record import Change
from linewitness.evidence.policy.policy import Attester, Policy
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.keys import create_key
from linewitness.store.ledger import StoreLedger
from support.browser_verifier import judge_several_with_page
from support.databases import url_of
from support.fake_gateway import FakeGateway
from support.pages_by_hand import work_through
from support.report_texts import parsed
from support.zips import unzipped, zipped

pytestmark = pytest.mark.heavy
YAML = """\
database: {url}
name: store.example
key:
  file: store.key
mqtt:
  url: mqtt://127.0.0.1
"""
UNIT = "SN-7"


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@dataclass
class Plant:
    """A store that holds the streams of two lines, and a policy for each."""

    folder: Path
    file: Path
    policies: list[Path]
    origins: list[str]

    def export(self, name: str, *asked: str) -> Path:
        """Write a package with the verdicts under the policies."""
        path = self.folder / name
        said = run("store", "export", self.file, *asked, "-o", path, *self.trusted)
        assert said.exit_code == 0, (said.output, said.exception)
        return path

    @property
    def trusted(self) -> list[Any]:
        return [each for policy in self.policies for each in ("--policy", policy)]

    def judged(self, package: Path) -> tuple[dict[str, Any], int]:
        """Return what the command and the page say, which is the same, and the exit code."""
        said = run("verify", package, "--json", *self.trusted)
        found = json.loads(said.output)
        page = judge_several_with_page(package, [policy.read_bytes() for policy in self.policies])
        for ours, theirs in zip([found, *found["streams"]], [page, *page["streams"]], strict=True):
            for member in ("status", "text", "broken_at", "remarks", "origin", "without_capture"):
                assert ours.get(member) == theirs.get(member), member
        return found, said.exit_code

    def by_hand(self, package: Path, number: int) -> subprocess.CompletedProcess[Any]:
        """Work through the page for people with shell tools, for one of the streams."""
        folder = self.folder / f"by-hand-{package.stem}-{number}"
        folder.mkdir()
        return work_through(folder, package, policy=self.policies[number - 1], stream=number)


def lines() -> tuple[FakeGateway, FakeGateway]:
    """Return a line at which the tool was away in the middle of the unit, and the next line."""
    first = FakeGateway()
    second = FakeGateway(origin="acme.example/ber-01/line-03/1", gateway="ber-02", seed="two")
    tool = {"type": "device", "id": "tool-1"}
    first.append(unit=UNIT)
    first.append("device.lost", resource=tool, reason="no answer for 5 s")
    first.append("device.back", resource=tool, changes=(Change("away_ms", None, 1000),))
    first.append(unit=UNIT)
    first.append(unit="SN-8")
    second.grow(30, unit="SN-9")
    second.append(unit=UNIT)
    second.append(unit="SN-9")
    return first, second


@pytest.fixture
def plant(tmp_path: Path, both_databases: None) -> Plant:
    file = tmp_path / "store.yaml"
    file.write_text(YAML.format(url=url_of(tmp_path / "store.db")))
    cosigner = create_key("store.example", tmp_path / "store.key")
    database = Database(url_of(tmp_path / "store.db"))
    database.create()
    policies, gateways = [], lines()
    for number, gateway in enumerate(gateways):
        enroll(
            database,
            clock=SystemClock(),
            tenant=gateway.tenant,
            gateway=gateway.gateway,
            log_vkey=str(gateway.log_vkey),
            record0_hash=gateway.record0_hash,
        )
        messages = (
            (gateway.topics.records, gateway.batch()),
            (gateway.topics.checkpoint, gateway.checkpoint()),
        )
        StoreLedger(database=database, cosigner=cosigner, clock=SystemClock()).process(messages)
        policy = Policy(
            origin=gateway.origin,
            record_0=gateway.record0_hash,
            log_key=gateway.log_vkey,
            gateway_party="acme",
            attesters=(Attester("auditor", "store", cosigner.vkey),),
        )
        policies.append(tmp_path / f"policy-{number}.json")
        policies[-1].write_bytes(policy.canonical)
    database.close()
    return Plant(tmp_path, file, policies, [gateway.origin for gateway in gateways])


def test_one_package_has_both_streams_and_three_verifiers_agree(plant: Plant) -> None:
    package = plant.export("unit.zip", "--unit", UNIT)
    files = unzipped(package)
    assert [files[f"streams/{number}/origin"].decode() for number in (1, 2)] == [
        f"{origin}\n" for origin in plant.origins
    ]
    found, code = plant.judged(package)
    assert (found["text"], code) == ("INCLUDED, the weakest of 2 streams: 2 INCLUDED", ExitCode.OK)
    assert [each["selected"] for each in found["streams"]] == [4, 1]
    assert not any("manifest.json" in one["text"] for each in found["streams"] for one in each["remarks"])
    (stretch,) = found["streams"][0]["without_capture"]
    assert (stretch["subject"], stretch["why"]) == ("tool-1", "not connected: no answer for 5 s")
    for number in (1, 2):
        done = plant.by_hand(package, number)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "it is the stream of the policy" in done.stdout


def test_the_report_is_one_history_in_the_order_of_time(plant: Plant) -> None:
    package = plant.export("unit.zip", "--unit", UNIT)
    report = parsed(unzipped(package)["report.html"].decode()).text
    assert f"Unit {UNIT}, of 2 streams" in report
    first, second = plant.origins
    places = [f"1 of {first}", f"2 of {first}", f"3 of {first}", f"4 of {first}", f"31 of {second}"]
    table = report[report.rindex("Values") :]
    assert sorted(places, key=table.index) == places
    assert f"{first}: " in report[report.index("Without capture") :]
    assert report.count("INCLUDED: ") == 2
    assert "None is on record" not in report


@pytest.mark.parametrize("number", [1, 2])
def test_damage_to_one_stream_is_found_by_all_three(plant: Plant, number: int) -> None:
    package = plant.export("unit.zip", "--unit", UNIT)
    files = unzipped(package)
    name = f"streams/{number}/records.ndjson"
    spoiled = zipped(plant.folder / "spoiled.zip", files | {name: files[name].replace(b"12.30", b"12.90", 1)})
    found, code = plant.judged(spoiled)
    assert (found["status"], code) == ("BROKEN", ExitCode.BROKEN)
    expected = ["INCLUDED", "INCLUDED"]
    expected[number - 1] = "BROKEN"
    assert [each["status"] for each in found["streams"]] == expected
    assert plant.by_hand(spoiled, number).returncode != 0
    assert plant.by_hand(spoiled, 3 - number).returncode == 0


def test_a_folder_that_claims_to_be_another_stream_is_found_by_all_three(plant: Plant) -> None:
    package = plant.export("unit.zip", "--unit", UNIT)
    files = unzipped(package)
    swapped = {f"streams/{at}/origin": files[f"streams/{3 - at}/origin"] for at in (1, 2)}
    path = zipped(plant.folder / "swapped.zip", files | swapped)
    assert [each["status"] for each in plant.judged(path)[0]["streams"]] == ["BROKEN", "BROKEN"]
    assert plant.by_hand(path, 1).returncode != 0


def test_what_lies_in_one_stream_is_a_package_of_one(plant: Plant) -> None:
    package = plant.export("one.zip", "--unit", "SN-8")
    assert "records.ndjson" in unzipped(package)
    said = run("verify", package, "--json", *plant.trusted)
    assert (json.loads(said.output)["status"], said.exit_code) == ("INCLUDED", ExitCode.OK)
    named = plant.folder / "named.zip"
    assert run(
        "store", "export", plant.file, "--unit", UNIT, "--stream", plant.origins[1], "-o", named
    ).output
    assert json.loads(unzipped(named)["manifest.json"])["records"] == 1


def test_several_units_are_asked_of_the_streams_that_have_them(plant: Plant) -> None:
    package = plant.export("units.zip", "--unit", "SN-8", "--unit", "SN-9")
    files = unzipped(package)
    asked = [json.loads(files[f"streams/{at}/manifest.json"])["asked"]["units"] for at in (1, 2)]
    assert asked == [["SN-8"], ["SN-9"]]
    found, _ = plant.judged(package)
    assert not any("manifest.json" in one["text"] for each in found["streams"] for one in each["remarks"])


def test_nothing_is_written_where_no_stream_has_the_unit(plant: Plant) -> None:
    path = plant.folder / "none.zip"
    said = run("store", "export", plant.file, "--unit", "SN-77", "-o", path)
    assert said.exit_code != 0
    assert "there are no such records in any stream" in str(said.exception)
    assert not list(plant.folder.glob("none.zip*"))


def test_the_text_says_what_each_line_did_and_when_nobody_watched(plant: Plant) -> None:
    said = run("store", "unit", plant.file, UNIT).output
    first, second = plant.origins
    assert f"record 2 of {first}; with a receipt" in said
    assert f"record 31 of {second}; with a receipt" in said
    assert f"without capture of {first}: " in said
    assert "tool-1: not connected: no answer for 5 s" in said
    assert f"without capture of {second}: nothing of its devices and stations is on record" in said
