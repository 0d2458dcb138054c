"""Everything that a plant has from the release before the house was rebuilt still works in this one."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from linewitness.cli import app
from linewitness.cli.sources import load_store
from linewitness.config import load
from linewitness.evidence.command.verify import read_policy
from linewitness.evidence.format.raw import RawTelegram
from linewitness.evidence.package.build import CannotPack
from linewitness.journal.database import is_being_written
from linewitness.journal.reader import JournalReader
from support.browser_verifier import judge_with_page
from support.packages import judge_with_python, verify_package

pytestmark = pytest.mark.heavy

PLANT = Path(__file__).parents[1] / "fixtures/plants/v1"
COMMANDS = (PLANT / "commands.txt").read_text().splitlines()
COMPLETE = "COMPLETE to 147, attested by the customer (store store.demo.example)"
INCLUDED = "INCLUDED: 6 selected records are unaltered and among the 147 attested by the customer"


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    """A copy: what is kept is never written to. Its keys have the mode that they were made with."""
    copy = Path(shutil.copytree(PLANT, tmp_path / "plant"))
    for key in copy.rglob("*.key"):
        key.chmod(0o600)
    return copy


def run(*arguments: Path | str) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def good(*arguments: Path | str) -> str:
    done = run(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_the_journal_opens_and_is_complete(plant: Path) -> None:
    with JournalReader(plant / "journal") as reader:
        assert reader.size() == 148
        assert not reader.frozen
    said = good("verify", plant / "journal", "--policy", plant / "policy.json")
    assert COMPLETE in said
    assert not is_being_written(plant / "journal")


def test_units_of_the_journal_are_found_by_its_index(plant: Path) -> None:
    with JournalReader(plant / "journal") as reader:
        units = reader.units(0, reader.size())
        assert units
        for unit in set(units.values()):
            listed = [at for at, name in units.items() if name == unit]
            assert [number for number, _ in reader.of_unit(unit)] == listed


@pytest.mark.parametrize(
    ("package", "says"),
    [("stream.zip", COMPLETE), ("unit.zip", INCLUDED), ("store-unit.zip", INCLUDED)],
)
def test_packages_have_the_same_verdict(package: str, says: str) -> None:
    assert says in verify_package(PLANT / package, policy=read_policy(PLANT / "policy.json")).text


def test_packages_are_made_from_the_journal_and_from_the_store(plant: Path, tmp_path: Path) -> None:
    policy = read_policy(plant / "policy.json")
    with JournalReader(plant / "journal") as reader:
        unit = next(iter(reader.units(0, 147).values()))
    good("export", plant / "journal", "-o", tmp_path / "stream.zip")
    good("export", plant / "journal", "--unit", unit, "-o", tmp_path / "unit.zip")
    good("store", "export", plant / "store.yaml", "--unit", unit, "-o", tmp_path / "store.zip")
    assert COMPLETE in verify_package(tmp_path / "stream.zip", policy=policy).text
    for name in ("unit.zip", "store.zip"):
        assert verify_package(tmp_path / name, policy=policy).status == "INCLUDED"


def test_packages_bring_telegrams_that_records_name_by_a_plain_hash(plant: Path, tmp_path: Path) -> None:
    """From the journal, and from the store with what the gateway exported; both verifiers compare them."""
    policy = (plant / "policy.json").read_bytes()
    good("export", plant / "journal", "--raw", "-o", tmp_path / "stream.zip")
    good("export", plant / "journal", "--raw", "-o", tmp_path / "stream.ndjson")
    raws = tmp_path / "stream.raws"
    assert raws.read_bytes().count(b"\n") > 0
    assert b'"salt"' not in raws.read_bytes()
    good("store", "export", plant / "store.yaml", "--raw", raws, "-o", tmp_path / "store.zip")
    for name in ("stream.zip", "store.zip"):
        ours = judge_with_python(tmp_path / name, policy)
        theirs = judge_with_page(tmp_path / name, policy)
        assert ours["text"] == theirs["text"]
        assert list(ours["remarks"]) == theirs["remarks"]
        assert COMPLETE in ours["text"]
        assert "which are those that they name" in ours["remarks"][-1]["text"]


def test_a_file_of_other_telegrams_is_refused_by_the_store(plant: Path, tmp_path: Path) -> None:
    good("export", plant / "journal", "--raw", "-o", tmp_path / "stream.ndjson")
    first, *others = (tmp_path / "stream.raws").read_bytes().splitlines(keepends=True)
    wrong = RawTelegram.parse(first.rstrip())._replace(data=b"something else").line()
    (tmp_path / "wrong.raws").write_bytes(b"".join([wrong + b"\n", *others]))
    target = tmp_path / "store.zip"
    done = run("store", "export", plant / "store.yaml", "--raw", tmp_path / "wrong.raws", "-o", target)
    assert isinstance(done.exception, CannotPack)
    assert "are not those that it names" in str(done.exception)
    assert not target.exists()


def test_the_store_opens_is_sound_and_exports_what_the_journal_holds(plant: Path, tmp_path: Path) -> None:
    assert "sound: records 147, streams 1" in good("store", "check", plant / "store.yaml")
    good("store", "export", plant / "store.yaml", "-o", tmp_path / "store.ndjson")
    with JournalReader(plant / "journal") as reader:
        records = [data for _, data in reader.records()]
    # What the gateway wrote last, as it stopped, it had not sent yet.
    assert (tmp_path / "store.ndjson").read_bytes().splitlines() == records[:147]


def test_its_yaml_loads(plant: Path) -> None:
    assert load(plant / "line.yaml").line.origin == "demo.example/ber-01/line-02/1"
    options = load_store(plant / "store.yaml")
    assert (options.name, options.database_file) == ("store.demo.example", plant / "store.db")


def signature_of(path: str) -> tuple[set[str], list[str]]:
    """Return the options of a command, which must exist, and its arguments."""
    command: Any = typer.main.get_command(app)
    for word in path.split():
        assert word in command.commands, f"there is no {path}"
        command = command.commands[word]
    options = {name for each in command.params if each.param_type_name == "option" for name in each.opts}
    return options, [each.name for each in command.params if each.param_type_name == "argument"]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_and_option_is_still_there(line: str) -> None:
    words = line.split()
    path = " ".join(word for word in words if word[0] not in "<-")
    options, arguments = signature_of(path)
    assert {word for word in words if word.startswith("--")} <= options
    assert [word.strip("<>") for word in words if word.startswith("<")] == arguments


def test_the_verdict_in_json_has_the_members_it_had(plant: Path) -> None:
    said = json.loads(good("verify", plant / "stream.zip", "--policy", plant / "policy.json", "--json"))
    assert list(said) == [
        "status", "origin", "size", "root", "head_hash", "record_0", "policy", "selected", "attested",
        "attestations", "broken_at", "reason", "remarks", "contents", "without_capture",
        "without_capture_left_out", "text", "age", "unmet", "seen_late", "seen_late_left_out",
    ]  # fmt: skip
