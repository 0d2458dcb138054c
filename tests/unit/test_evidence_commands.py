"""`policy`, `export` and `verify` as a person types them, from a journal and from an audit store."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from linewitness.base.clock import NS_PER_S
from linewitness.base.errors import ConfigurationError, EvidenceError, ExitCode
from linewitness.cli import app
from linewitness.evidence.format import keys, merkle
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.note import cosign
from linewitness.evidence.format.record import Change, Resource
from linewitness.evidence.package.build import CannotPack
from linewitness.evidence.policy.customer import Customer
from linewitness.evidence.policy.policy import BadPolicy
from linewitness.journal.attestations import StoredAttestation, StoredReceipt
from linewitness.journal.file import JournalFile
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from support.clocks import ManualClock
from support.journals import IDENTITY, create, reopen, result_event
from support.packages import STORE, TIME_S, WITNESS
from support.zips import unzipped, zipped

pytestmark = pytest.mark.heavy

RECORDS = 30


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def good(*arguments: Any) -> str:
    done = run(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def refused(error: Any, *arguments: Any) -> str:
    done = run(*arguments)
    if issubclass(error, EvidenceError) and arguments[0] == "verify":
        assert done.exit_code == ExitCode.UNJUDGED, (done.output, done.exception)
        return done.output
    assert isinstance(done.exception, error), (done.output, done.exception)
    return str(done.exception)


AT = "2026-03-01T08:00:00.000Z"


@pytest.fixture
def journal(tmp_path: Path, clock: ManualClock) -> Path:
    """A journal of three units, of which one names its batch; the store and a witness have seen it."""
    directory = tmp_path / "journal"
    create(directory, clock)
    file = reopen(directory, clock)
    for number in range(RECORDS):
        event = result_event(number, clock, f"SN{number % 3}")
        if number == 4:
            event = replace(event, changes=(*event.changes, Change("batch", None, "LOT-7")))
        file.append([Submission(events=(event,), rotate=number == 10)])
        clock.advance_ns(NS_PER_S)
    _attest(directory, file)
    file.append([Submission(events=(result_event(RECORDS, clock, "SN9"),))])
    file.close()
    return directory


def _attest(directory: Path, file: JournalFile) -> None:
    with JournalReader(directory) as reader:
        size = reader.size()
        root = merkle.root_at(size, reader.tree().subtree)
    note = Checkpoint(IDENTITY.stream, size, root).sign(Keyring(directory).load(LOG_KEY))
    receipt, seen = (
        str(note.with_signature(cosign(note.text, name=name, key=key, time_s=TIME_S)))
        for name, key in (("store.example", STORE), ("witness.example", WITNESS))
    )
    file.append(
        [
            Submission(
                receipt=StoredReceipt(size, receipt, AT),
                attestation=StoredAttestation(size, "witness.example", seen, None, AT),
            )
        ]
    )


@pytest.fixture
def policy(tmp_path: Path, journal: Path) -> Path:
    """A policy that needs the store and the witness, as `policy new` writes it from what `init` prints."""
    good("policy", "key", "customer.example/quality", tmp_path / "customer.key")
    with JournalReader(journal) as reader:
        said = f"stream      x\nlog key     {reader.log_vkey}\nrecord 0    {reader.record_0_hash}\n"
    (tmp_path / "init.txt").write_text(said)
    return made(tmp_path, "policy.json", quorum=2)


def customer(tmp_path: Path) -> str:
    return str(Customer.parse((tmp_path / "customer.key").read_text()).vkey)


def made(
    tmp_path: Path, name: str, *, quorum: int, party: str = "acme production", extra: tuple[Any, ...] = ()
) -> Path:
    path = tmp_path / name
    store = f"auditor={keys.cosigner_vkey('store.example', STORE)}"
    witness = f"institute={keys.cosigner_vkey('witness.example', WITNESS)}"
    who = ["--store", store, "--witness", witness, "--customer", customer(tmp_path)]
    given = ["--init", tmp_path / "init.txt", "--gateway-party", party, *who, "--quorum", quorum, *extra]
    good("policy", "new", *given, "-o", path)
    return path


def verdict(*arguments: Path | str) -> tuple[int, dict[str, Any]]:
    done = run("verify", "--json", *arguments)
    return done.exit_code, json.loads(done.output)


def test_new_explains_who_must_agree(tmp_path: Path, policy: Path) -> None:
    said = good("policy", "check", policy)
    assert "auditor runs the store store.example" in said
    assert "attested when auditor and institute cosigned" in said
    assert "only by acme production together with auditor and institute" in said
    assert "Keys are revoked by the customer key customer.example/quality" in said


def test_new_refuses_what_proves_nothing_and_says_why(tmp_path: Path, policy: Path) -> None:
    store = f"acme production={keys.cosigner_vkey('store.example', STORE)}"
    given = ["--init", tmp_path / "init.txt", "--gateway-party", "acme production", "--store", store]
    said = refused(BadPolicy, "policy", "new", *given, "-o", tmp_path / "weak.json")
    assert "alone satisfies the policy" in said
    assert not (tmp_path / "weak.json").exists()
    assert "cannot be reached" in refused(
        BadPolicy, "policy", "new", *given, "--quorum", 2, "-o", tmp_path / "w"
    )
    assert BadPolicy.exit_code == ExitCode.CONFIGURATION


def test_nothing_is_overwritten(tmp_path: Path, policy: Path) -> None:
    assert "File exists" in refused(
        ConfigurationError, "policy", "key", "customer.example/quality", tmp_path / "customer.key"
    )


def test_a_signed_policy_is_checked_against_the_customers_key(
    tmp_path: Path, journal: Path, policy: Path
) -> None:
    signed = tmp_path / "policy.note"
    good("policy", "sign", policy, "--key", tmp_path / "customer.key", "-o", signed)
    then = ("--as-of", "2026-03-01")
    code, found = verdict(journal, "--policy", signed, "--customer", customer(tmp_path), *then)
    assert (code, found["attested"]) == (0, RECORDS + 2)
    assert verdict(journal, "--policy", signed, *then)[1] == found
    altered = tmp_path / "altered.note"
    altered.write_text(signed.read_text().replace('"quorum":2', '"quorum":1'))
    assert "is wrong" in refused(BadPolicy, "verify", journal, "--policy", altered)
    other = str(Customer.new("customer.example/quality").vkey)
    assert "not signed by" in refused(BadPolicy, "verify", journal, "--policy", signed, "--customer", other)
    assert "not signed" in refused(BadPolicy, "verify", journal, "--policy", policy, "--customer", other)


@pytest.mark.parametrize(
    ("asked", "unmet"),
    [
        (("--at-least", str(RECORDS + 2)), None),
        (("--at-least", str(RECORDS + 3)), "32 records are attested, and at least 33 were asked for"),
        (("--as-of", "2026-03-01T01:53:20Z"), None),
        (
            ("--as-of", "2026-03-01 02:53:21+01:00"),
            "is of 2026-03-01T01:53:20Z, and one of 2026-03-01T01:53:21Z",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_less_than_was_asked_for_is_outdated_and_the_code_is_6(
    journal: Path, policy: Path, asked: tuple[str, ...], unmet: str | None
) -> None:
    said = run("verify", journal, "--policy", policy, *asked)
    assert said.exit_code == (ExitCode.OUTDATED if unmet else ExitCode.OK)
    assert ("OUTDATED: " in said.output) is bool(unmet)
    assert (unmet or "INTACT") in said.output
    assert "  age: the newest attestation is of 2026-03-01T01:53:20Z, " in said.output
    assert "; the attestation came " in said.output
    code, found = verdict(journal, "--policy", policy, *asked)
    assert (code, found["status"]) == ((6, "OUTDATED") if unmet else (0, "INTACT"))
    assert bool(found["unmet"]) is bool(unmet)
    assert found["age"]["attested_s"] == TIME_S


def test_the_age_that_a_policy_names_counts_from_the_check_or_from_the_time_asked_for(
    tmp_path: Path, journal: Path, policy: Path
) -> None:
    aged = made(tmp_path, "aged.json", quorum=2, extra=("--max-age", "60"))
    assert "The newest attestation may be 60 s old when it is judged." in good("policy", "check", aged)
    assert "It says no age" in good("policy", "check", policy)
    assert verdict(journal, "--policy", aged)[0] == ExitCode.OUTDATED
    assert verdict(journal, "--policy", aged, "--as-of", "2026-03-01T01:54:20Z")[0] == ExitCode.OK
    assert verdict(journal, "--policy", aged, "--as-of", "2026-03-01T01:54:21Z")[0] == ExitCode.OUTDATED


@pytest.mark.parametrize("time", ["yesterday", "1969-12-31", "9999-12-31T23:59:59.5", ""])
def test_a_time_that_is_none_is_wrong_usage(journal: Path, policy: Path, time: str) -> None:
    assert "is not a time" in refused(
        ConfigurationError, "verify", journal, "--policy", policy, "--as-of", time
    )


def test_a_revoked_event_key_breaks_the_stream_where_it_signed(
    tmp_path: Path, journal: Path, policy: Path
) -> None:
    with JournalReader(journal) as reader:
        first, second = reader.event_keys()
    revocation = tmp_path / "revocation.note"
    given = ["--vkey", second[1], "--reason", "the gateway was opened", "--key", tmp_path / "customer.key"]
    good("policy", "revoke", policy, "--first", 20, *given, "-o", revocation)
    code, found = verdict(journal, "--policy", policy, "--revocation", revocation)
    assert (code, found["broken_at"]) == (1, 20)
    assert "revoked from record 20 on (the gateway was opened)" in found["reason"]
    assert f"Revoked: {first[1].name}" in good("policy", "check", policy, "--revocation", revocation)


def test_a_revocation_by_somebody_else_is_refused(tmp_path: Path, journal: Path, policy: Path) -> None:
    good("policy", "key", "customer.example/quality", tmp_path / "other.key")
    given = [
        "--vkey",
        keys.cosigner_vkey("store.example", STORE),
        "--reason",
        "x",
        "--key",
        tmp_path / "other.key",
    ]
    said = refused(EvidenceError, "policy", "revoke", policy, "--first", 1, *given, "-o", tmp_path / "r")
    assert "not signed by the customer key" in said


def test_a_revoked_store_is_not_counted(tmp_path: Path, journal: Path, policy: Path) -> None:
    given = ["--vkey", keys.cosigner_vkey("store.example", STORE), "--reason", "sold"]
    signed = ["--key", tmp_path / "customer.key", "-o", tmp_path / "r"]
    good("policy", "revoke", policy, "--first", 5, *given, *signed)
    code, found = verdict(journal, "--policy", policy, "--revocation", tmp_path / "r")
    assert (code, found["status"], found["attested"]) == (0, "INTACT", 0)


def test_the_package_of_a_unit_holds_that_unit_alone_and_is_included(
    tmp_path: Path, journal: Path, policy: Path
) -> None:
    package = tmp_path / "sn1.zip"
    assert good("export", journal, "--unit", "SN1", "-o", package, "--policy", policy).startswith(
        "10 records"
    )
    code, found = verdict(package, "--policy", policy)
    assert (code, found["status"], found["selected"]) == (0, "INCLUDED", 10)
    assert [each["party"] for each in found["attestations"]] == ["auditor", "institute"]
    files = unzipped(package)
    everything = b"".join(data for name, data in files.items() if name != "verify.html")
    # As a value or as text of the report; the base64 of a signature may hold the same letters.
    assert re.search(rb'[">]SN1["<]', everything)
    assert not re.search(rb'[">]SN[02]["<]', everything)
    assert {"report.html", "verify.html", "keys.ndjson"} <= files.keys()


@pytest.mark.parametrize("without", [(), ("--ndjson",)], ids=["package", "records"])
def test_the_package_of_a_unit_says_when_its_tool_was_away(
    tmp_path: Path, journal: Path, policy: Path, clock: ManualClock, without: tuple[str, ...]
) -> None:
    def said(kind: str, station: str) -> Submission:
        event = gateway_event(
            kind,
            clock.stamp().realtime_ns,
            resource=Resource("device", station),
            reason="no answer",
            context={"device_id": f"wrench at {station}", "station_id": station},
        )
        clock.advance_ns(NS_PER_S)
        return Submission(events=(event,))

    file = reopen(journal, clock)
    for number, station in enumerate(("st-10", "st-20"), 100):
        file.append([Submission(events=(result_event(number, clock, "SN7"),)), said("device.lost", station)])
        file.append([said("device.back", station), Submission(events=(result_event(number, clock, "SN7"),))])
    _attest(journal, file)
    file.close()
    output = tmp_path / ("sn7.ndjson" if without else "sn7.zip")
    assert good("export", journal, "--unit", "SN7", "-o", output, *without).startswith("6 records")
    if not without:
        lines = good("verify", output, "--policy", policy).splitlines()
        (contents,) = [line for line in lines if line.startswith("  contents: ")]
        assert contents.startswith("  contents: 6 records from 33 to 40, ")
        assert contents.endswith("; units: SN7 (4)")
        (line,) = [line for line in lines if line.startswith("  without capture: ")]
        assert re.search(r" \(1\.\d{3} s\), wrench at st-10: not connected: no answer$", line)


def test_a_batch_brings_all_records_of_its_units(tmp_path: Path, journal: Path, policy: Path) -> None:
    assert good("export", journal, "--batch", "LOT-7", "-o", tmp_path / "lot.zip").startswith("10 records")
    assert verdict(tmp_path / "lot.zip", "--policy", policy)[1]["status"] == "INCLUDED"


def test_times_cut_out_a_range(tmp_path: Path, journal: Path, policy: Path, clock: ManualClock) -> None:
    with JournalReader(journal) as reader:
        times = [json.loads(data)["occurred_at"] for _, data in reader.records()]
    package = tmp_path / "hour.zip"
    good("export", journal, "--from", times[5], "--to", times[9], "-o", package)
    found = [json.loads(line)["sequence_no"] for line in unzipped(package)["records.ndjson"].splitlines()]
    assert found == [5, 6, 7, 8]
    assert "not a time" in refused(ConfigurationError, "export", journal, "--from", "soon", "-o", package)


def test_the_whole_stream_is_complete_up_to_the_receipt(tmp_path: Path, journal: Path, policy: Path) -> None:
    package = tmp_path / "all.zip"
    good("export", journal, "-o", package, "--policy", policy)
    code, found = verdict(package, "--policy", policy)
    assert (code, found["attested"], found["size"]) == (0, RECORDS + 2, RECORDS + 3)
    code, found = verdict(package)
    assert (code, found["status"], found["attested"]) == (0, "INTACT", 0)


def test_an_altered_package_ends_with_exit_code_1(tmp_path: Path, journal: Path, policy: Path) -> None:
    package = tmp_path / "all.zip"
    good("export", journal, "-o", package)
    files = unzipped(package)
    files["records.ndjson"] = files["records.ndjson"].replace(b"12.30", b"12.31", 1)
    spoiled = zipped(tmp_path / "spoiled.zip", files)
    code, found = verdict(spoiled, "--policy", policy)
    assert (code, found["status"], found["broken_at"]) == (1, "BROKEN", 1)


def test_what_no_receipt_covers_is_not_packed(tmp_path: Path, journal: Path) -> None:
    said = refused(CannotPack, "export", journal, "--unit", "SN9", "-o", tmp_path / "sn9.zip")
    assert "no receipt covers" in said
    assert "no such records" in refused(
        CannotPack, "export", journal, "--unit", "SN8", "-o", tmp_path / "x.zip"
    )
    assert not list(tmp_path.glob("*.zip*"))
    assert CannotPack.exit_code == ExitCode.CONFIGURATION


def test_a_file_that_is_neither_package_nor_yaml_cannot_be_judged(tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF")
    assert run("verify", file).exit_code == ExitCode.UNJUDGED
    for data in ("version: é".encode(), "# Prüfstand".encode("latin-1")):
        file.write_bytes(data)
        assert isinstance(run("verify", file).exception, ConfigurationError)


def test_a_selection_needs_a_policy(tmp_path: Path, journal: Path) -> None:
    good("export", journal, "--unit", "SN1", "-o", tmp_path / "sn1.zip")
    said = refused(ConfigurationError, "verify", tmp_path / "sn1.zip")
    assert "a selection proves nothing without a policy" in said


def test_ndjson_is_the_exact_bytes(tmp_path: Path, journal: Path, policy: Path) -> None:
    with JournalReader(journal) as reader:
        exact = b"".join(data + b"\n" for _, data in reader.records())
    good("export", journal, "--ndjson", "-o", tmp_path / "all.ndjson")
    assert (tmp_path / "all.ndjson").read_bytes() == exact
    assert good("export", journal).encode() == exact
    assert verdict(tmp_path / "all.ndjson", "--policy", policy)[1]["attested"] == RECORDS + 2
