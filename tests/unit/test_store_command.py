"""`linewitness store …` from init to export, as a person types it."""

import contextlib
import hashlib
import json
import re
import shutil
import sqlite3
import zipfile
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from linewitness.base.clock import SystemClock
from linewitness.base.errors import ConfigurationError
from linewitness.cli.sources import load_store
from linewitness.cli.store import app
from linewitness.evidence.format.note import Note, Vkey
from linewitness.evidence.package.build import CannotPack
from linewitness.evidence.policy.policy import Attester, Policy
from linewitness.store.database.database import Database
from linewitness.store.database.errors import StoreError
from linewitness.store.holdings import StoreHoldings
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import StoreLedger
from support.databases import databases, url_of
from support.fake_gateway import FakeGateway
from support.packages import verify_package
from support.present import present

YAML = """\
database: sqlite:///data/store.db
name: store.example
key:
  file: store.key
mqtt:
  url: mqtt://127.0.0.1
"""


@pytest.fixture
def file(both_databases: None, tmp_path: Path) -> Path:
    file = tmp_path / "store.yaml"
    url = url_of(tmp_path / "data" / "store.db")
    file.write_text(YAML.replace("sqlite:///data/store.db", url) if databases.is_server else YAML)
    return file


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    """A store that has a file for its database."""
    file = tmp_path / "store.yaml"
    file.write_text(YAML)
    return file


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def good(*arguments: Any) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def feed(file: Path, gateway: FakeGateway, *messages: tuple[str, bytes]) -> None:
    options = load_store(file)
    database = Database(options.database_url)
    cosigner = Cosigner.load(options.name, options.key)
    StoreLedger(database=database, cosigner=cosigner, clock=SystemClock()).process(messages)
    database.close()


def enroll(file: Path, gateway: FakeGateway) -> str:
    return good(
        "enroll",
        file,
        "--tenant",
        gateway.tenant,
        "--gateway",
        gateway.gateway,
        "--log-vkey",
        gateway.log_vkey,
        "--record0",
        gateway.record0_hash,
    )


def test_store_from_init_to_export(file: Path, tmp_path: Path) -> None:
    output = good("init", file)
    assert (tmp_path / "data" / "store.db").is_file() != databases.is_server
    options = load_store(file)
    assert str(Cosigner.load(options.name, options.key).vkey) in output
    gateway = FakeGateway()
    gateway.grow(3, unit="SN-7")
    gateway.grow(2)
    assert gateway.origin in enroll(file, gateway)
    feed(
        file,
        gateway,
        (gateway.topics.records, gateway.batch()),
        (gateway.topics.checkpoint, gateway.checkpoint(4)),
    )
    assert "held 6, receipted 4, at 2" in good("status", file)
    assert good("export", file) == gateway.batch().decode()
    assert good("export", file, "--unit", "SN-7") == gateway.batch(1, 4).decode()
    assert good("export", file, "--stream", gateway.origin, "--first", 2, "--last", 3) == (
        gateway.batch(2, 4).decode()
    )
    good("export", file, "--output", tmp_path / "out.ndjson")
    assert (tmp_path / "out.ndjson").read_bytes() == gateway.batch()
    again = run("export", file, "--output", tmp_path / "out.ndjson")
    assert isinstance(again.exception, ConfigurationError)
    assert (tmp_path / "out.ndjson").read_bytes() == gateway.batch()
    assert good("receipts", file, gateway.origin).startswith(f"{gateway.origin}\n4\n")
    assert good("conflicts", file) == "no conflicts\n"


def test_conflicts_are_shown_and_end_with_exit_code_1(file: Path) -> None:
    good("init", file)
    gateway = FakeGateway()
    gateway.grow(3)
    enroll(file, gateway)
    other = gateway.fork(2)
    other.append()
    feed(file, gateway, (gateway.topics.records, gateway.batch()), (gateway.topics.records, other.batch(2)))
    result = run("conflicts", file)
    assert result.exit_code == 1
    assert "at record 2" in result.output
    assert "conflicts 1" in good("status", file)


def test_a_sound_store_is_told_from_a_damaged_one(file: Path) -> None:
    good("init", file)
    gateway = FakeGateway()
    gateway.grow(5)
    enroll(file, gateway)
    feed(file, gateway, (gateway.topics.records, gateway.batch()))
    assert good("check", file) == "sound: records 6, streams 1\n"
    damage = "UPDATE entries SET kind = 'x' WHERE stream_id = 1 AND seq = 3"
    databases.tamper(file.parent / "data" / "store.db", damage)
    result = run("check", file)
    assert (result.exit_code, result.output) == (
        1,
        f"record 3 of {gateway.origin} is not found by what it says\n",
    )


def test_refused_gateways_are_shown(file: Path) -> None:
    good("init", file)
    assert "no stream is enrolled" in good("status", file)
    stranger = FakeGateway()
    feed(file, stranger, (stranger.topics.records, stranger.batch()))
    assert f"refused {stranger.origin} from ber-01 of acme" in good("status", file)


def test_init_changes_nothing_that_is_there(own_file: Path, tmp_path: Path) -> None:
    good("init", own_file)
    key = (tmp_path / "store.key").read_text()
    result = run("init", own_file)
    assert isinstance(result.exception, ConfigurationError)
    assert (tmp_path / "store.key").read_text() == key


def test_init_that_was_cut_short_is_finished_by_the_same_again(own_file: Path) -> None:
    good("init", own_file)
    database = own_file.parent / "data" / "store.db"
    database.unlink()
    database.touch()
    assert isinstance(run("status", own_file).exception, StoreError)
    good("init", own_file)
    assert "no stream is enrolled" in good("status", own_file)


def test_init_leaves_the_database_of_others_alone(own_file: Path) -> None:
    database = own_file.parent / "data" / "store.db"
    database.parent.mkdir()
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    theirs = database.read_bytes()
    result = run("init", own_file)
    assert isinstance(result.exception, ConfigurationError)
    assert "there is a database" in str(result.exception)
    assert database.read_bytes() == theirs
    database.write_bytes(b"no database at all" * 100)
    assert isinstance(run("init", own_file).exception, StoreError)


def test_commands_need_a_database(own_file: Path) -> None:
    for command in (["status", own_file], ["export", own_file], ["conflicts", own_file]):
        result = run(*command)
        assert isinstance(result.exception, StoreError)
        assert "store init" in result.exception.hint


def test_wrong_yaml_is_told_with_its_place(file: Path) -> None:
    file.write_text(YAML.replace("mqtt://127.0.0.1", "http://127.0.0.1").replace("name:", "nme:"))
    with pytest.raises(ConfigurationError) as raised:
        load_store(file)
    assert "store.yaml:6:" in str(raised.value)
    assert "store.yaml:2:" in str(raised.value)
    assert "mqtt://host:1883" in str(raised.value)


def test_paths_are_seen_from_the_yamls_folder(file: Path, tmp_path: Path) -> None:
    file.write_text(
        YAML.replace("url: mqtt://127.0.0.1", "url: mqtts://broker")
        + "  username: u\n  password: {file: pw}\n"
        + "  tls: {ca: /etc/ca.pem, certificate: tls/store.pem, key: {credential: tls-key}}\n"
    )
    options = load_store(file)
    assert options.database_file == tmp_path / "data" / "store.db"
    assert options.key.file == tmp_path / "store.key"
    assert present(options.mqtt.password).file == tmp_path / "pw"
    assert options.mqtt.tls.ca == Path("/etc/ca.pem")
    assert options.mqtt.tls.certificate == tmp_path / "tls" / "store.pem"
    assert present(options.mqtt.tls.key).credential == "tls-key"


def test_a_private_key_pasted_into_the_yaml_is_refused_and_not_repeated(file: Path) -> None:
    pasted = "-----BEGIN PRIVATE KEY-----"
    file.write_text(YAML.replace("file: store.key", f"file: '{pasted} MC4CAQAwBQYDK2VwBCIEIF'"))
    with pytest.raises(ConfigurationError) as raised:
        load_store(file)
    assert "store.yaml:4:9: key.file: a private key does not belong into this file" in str(raised.value)
    assert "MC4C" not in str(raised.value)


def test_missing_extra_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("linewitness.cli.store.find_spec", lambda _: None)
    result = run("status", file)
    assert isinstance(result.exception, ConfigurationError)
    assert "linewitness[store]" in result.exception.hint


def test_a_package_says_what_the_store_held_as_it_was_made(file: Path, tmp_path: Path) -> None:
    """Signed with the store's key, at that moment, and over the records that are there."""
    gateway = FakeGateway()
    good("init", file)
    enroll(file, gateway)
    gateway.append(unit="SN-7")
    records, checkpoint = (gateway.topics.records, gateway.batch()), gateway.checkpoint()
    feed(file, gateway, records, (gateway.topics.checkpoint, checkpoint))
    options = load_store(file)
    cosigner = Cosigner.load(options.name, options.key)
    database = Database(options.database_url)
    with StoreHoldings.open(database, None) as holdings:
        held = Note.parse(present(holdings.held(cosigner, 4_000_000_000)))
        assert held.signed_by(cosigner.vkey) == 4_000_000_000
        assert held.signed_by(gateway.log_vkey) == 0
        assert held.text.splitlines()[1] == str(len(gateway.records))
        holdings.subtree = lambda _level, _index: bytes(32)
        with pytest.raises(CannotPack, match="are not the 2 of the newest receipt"):
            holdings.held(cosigner, 4_000_000_000)
    database.close()
    good("export", file, "-o", tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as package:
        assert "receipts/held.receipt" in package.namelist()


def test_a_store_without_a_receipt_states_nothing_in_its_packages(file: Path, tmp_path: Path) -> None:
    gateway = FakeGateway()
    good("init", file)
    enroll(file, gateway)
    feed(file, gateway, (gateway.topics.records, gateway.batch()))
    good("export", file, "-o", tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as package:
        assert "receipts/held.receipt" not in package.namelist()


def test_sizes_and_newest_receipts_are_printed_for_others_to_keep(file: Path) -> None:
    gateway = FakeGateway()
    init = good("init", file)
    enroll(file, gateway)
    (stream,) = json.loads(good("status", file, "--json"))
    assert (stream["size"], stream["root"], stream["note"]) == (0, None, None)
    for _ in range(2):
        gateway.append()
        messages = (
            (gateway.topics.records, gateway.batch()),
            (gateway.topics.checkpoint, gateway.checkpoint()),
        )
        feed(file, gateway, *messages)
    (stream,) = json.loads(good("status", file, "--json"))
    signed = Note.parse(stream["note"])
    assert signed.signed_by(Vkey.parse(present(re.search("store key +(.*)", init))[1])) is not None
    assert (stream["origin"], stream["receipt_size"]) == (gateway.origin, len(gateway.records))
    assert f"  signed {len(gateway.records)}, root {stream['root']}" in good("status", file)
    assert b64decode(signed.text.splitlines()[2]).hex() == stream["root"]


@pytest.mark.heavy
def test_export_of_a_package_proves_one_unit(file: Path, tmp_path: Path) -> None:
    gateway = FakeGateway()
    init = good("init", file)
    enroll(file, gateway)
    for number in range(600):
        gateway.append(unit=f"SN-{number % 50}")
        if number == 300:
            gateway.rotate()
    feed(
        file,
        gateway,
        (gateway.topics.records, gateway.batch()),
        (gateway.topics.checkpoint, gateway.checkpoint()),
    )
    package = tmp_path / "evidence.zip"
    assert good("export", file, "--unit", "SN-7", "-o", package).startswith("12 records")
    policy = Policy(
        origin=gateway.origin,
        record_0=gateway.record0_hash,
        log_key=gateway.log_vkey,
        gateway_party="acme",
        attesters=(Attester("auditor", "store", Vkey.parse(present(re.search("store key +(.*)", init))[1])),),
    )
    verdict = verify_package(package, policy=policy)
    assert (verdict.status, verdict.selected) == ("INCLUDED", 12)
    good("export", file, "-o", tmp_path / "all.zip")
    whole = verify_package(tmp_path / "all.zip", policy=policy)
    assert whole.status == "COMPLETE"
    for made in (verdict, whole):
        assert made.age is not None
        assert made.age.held is not None
        assert made.age.held.size == len(gateway.records)
    again = run("export", file, "-o", tmp_path / "all.zip")
    assert isinstance(again.exception, ConfigurationError)
    nobody = run("export", file, "--stream", "other/1", "-o", tmp_path / "none.zip")
    assert "not enrolled" in str(nobody.exception)


def test_the_tenant_stream_from_enrolment_to_verification(file: Path, tmp_path: Path) -> None:
    good("init", file)
    gateway = FakeGateway()
    gateway.grow(3, unit="SN-7")
    enroll(file, gateway)
    feed(file, gateway, (gateway.topics.records, gateway.batch()))
    out = tmp_path / "out.ndjson"
    good("export", file, "--unit", "SN-7", "--output", out)
    good("check", file)
    assert "kept 30 days" in good("retention", file, "--tenant", "acme", "--days", 30, "--reason", "why")
    assert "after 4 records" in good("retire", file, "--stream", gateway.origin, "--reason", "sold")
    own = "store.example/acme/1"
    said = [json.loads(line) for line in good("export", file, "--stream", own).splitlines()]
    assert [record["kind"] for record in said][1:] == [
        *("stream.enrolled", "evidence.exported", "integrity.checked", "integrity.checked"),
        *("retention.changed", "stream.retired"),
    ]
    digest = f"sha256:{hashlib.sha256(out.read_bytes()).hexdigest()}"
    told = {change["field"]: change["after"] for change in said[2]["changes"]}
    assert told == {"form": "records", "records": 3, "units": "SN-7", "digest": digest}
    status = good("status", file)
    assert "records of acme are to be kept for 30 days" in status
    assert f"{gateway.origin} was retired at" in status
    package = tmp_path / "own.zip"
    good("export", file, "--stream", own, "--output", package)
    log_key = re.search(r"log key (\S+)", status)
    record_0 = re.search(r"record 0 (\S+)", status)
    assert log_key is not None
    assert record_0 is not None
    policy = Policy(
        origin=own,
        record_0=record_0[1],
        log_key=Vkey.parse(log_key[1]),
        gateway_party="the store",
        attesters=(Attester("other", "store", load_cosigner(file).vkey),),
        quorum=1,
    )
    verdict = verify_package(package, policy=policy)
    assert (verdict.text[:6], verdict.remarks) == ("INTACT", ())
    assert verdict.contents is not None
    assert verdict.contents.records == 8


def test_a_copy_of_the_database_is_checked_and_not_written(own_file: Path, tmp_path: Path) -> None:
    good("init", own_file)
    gateway = FakeGateway()
    enroll(own_file, gateway)
    feed(own_file, gateway, (gateway.topics.records, gateway.batch()))
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    other = tmp_path / "copy.yaml"
    other.write_text(YAML.replace("data/", "copy/"))
    output = good("check", other)
    assert "sound: records 1, streams 1" in output
    assert "this check is not on record: this is a copy" in output
    assert "integrity.checked" not in good("export", other, "--stream", "store.example/acme/1")
    good("check", own_file)
    assert "integrity.checked" in good("export", own_file, "--stream", "store.example/acme/1")


def load_cosigner(file: Path) -> Cosigner:
    options = load_store(file)
    return Cosigner.load(options.name, options.key)
