"""Two tenants whose gateways, streams and units have the same names see nothing of each other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from linewitness.base.clock import SystemClock
from linewitness.base.errors import ConfigurationError
from linewitness.base.secrets import Secret
from linewitness.cli import app
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.store import reports
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.database.tenants import tenants_of
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import StoreLedger
from support.databases import url_of
from support.fake_gateway import FakeGateway

TENANTS = ("acme", "other")


class SharedStore:
    """A store with one gateway of each tenant; both gateways have all names in common."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "store.yaml"
        self.file.write_text(
            f"database: {url_of(folder / 'store.db')}\nname: store.example\nkey: {{file: store.key}}\n"
            "mqtt: {url: mqtt://127.0.0.1:1}\n"
        )
        self.good("init", self.file)
        self.database = Database(url_of(folder / "store.db"))
        cosigner = Cosigner.load("store.example", Secret(file=folder / "store.key"))
        self.ledger = StoreLedger(database=self.database, cosigner=cosigner, clock=SystemClock())
        self.gateways = {}
        for tenant in TENANTS:
            gateway = self.gateways[tenant] = FakeGateway(tenant=tenant, seed=tenant)
            for number in range(3 if tenant == "acme" else 5):
                gateway.append(unit="SN-1", changes=(), kind="tightening.result", reason=f"{tenant}-{number}")
            enroll(
                self.database,
                clock=SystemClock(),
                tenant=tenant,
                gateway=gateway.gateway,
                log_vkey=str(gateway.log_vkey),
                record0_hash=gateway.record0_hash,
            )

    def run(self, *arguments: object) -> Result:
        return CliRunner().invoke(app, ["store", *map(str, arguments)])

    def good(self, *arguments: object) -> str:
        done = self.run(*arguments)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    def send_all(self) -> dict[str, list[bytes]]:
        """Send the records of both in one turn; return what each is answered."""
        answers: dict[str, list[bytes]] = {tenant: [] for tenant in TENANTS}
        turn = [
            message
            for gateway in self.gateways.values()
            for message in (
                (gateway.topics.records, gateway.batch()),
                (gateway.topics.checkpoint, gateway.checkpoint()),
            )
        ]
        for answer in self.ledger.process(turn):
            answers[answer.topic.split("/")[2]].append(answer.payload)
        return answers


@pytest.fixture
def store(both_databases: None, tmp_path: Path) -> Iterator[SharedStore]:
    made = SharedStore(tmp_path)
    yield made
    made.database.close()


def test_each_gets_the_receipt_of_its_own_stream(store: SharedStore) -> None:
    answers = store.send_all()
    for tenant, gateway in store.gateways.items():
        (receipt,) = answers[tenant]
        assert open_checkpoint(receipt.decode(), gateway.log_vkey)[0].size == gateway.size
    assert len({gateway.origin for gateway in store.gateways.values()}) == 1
    assert tenants_of(store.database) == list(TENANTS)


def test_no_record_of_another_is_in_any_answer(store: SharedStore, tmp_path: Path) -> None:
    store.send_all()
    origin = store.gateways["acme"].origin
    for tenant, gateway in store.gateways.items():
        whose = ["--tenant", tenant]
        exported = store.good("export", store.file, *whose).encode().splitlines()
        assert exported == gateway.records
        of_unit = store.good("export", store.file, *whose, "--unit", "SN-1").encode().splitlines()
        assert {orjson.loads(each)["tenant_id"] for each in of_unit} == {tenant}
        assert store.good("receipts", store.file, origin, *whose).count(origin) == 2  # the note and our line
        package = tmp_path / f"{tenant}.zip"
        store.good("export", store.file, *whose, "-o", package)
        listed = store.good("unit", store.file, "SN-1", *whose)
        assert listed.count("tightening.result") == gateway.size - 1
        said = store.good("status", store.file, *whose)
        assert f"held {gateway.size}, receipted {gateway.size}" in said
        assert f"of {next(each for each in TENANTS if each != tenant)}" not in said
        (stream,) = orjson.loads(store.good("status", store.file, *whose, "--json"))
        assert stream["tenant"] == tenant


def test_a_name_that_two_have_is_not_answered_for_both(store: SharedStore) -> None:
    store.send_all()
    origin = store.gateways["acme"].origin
    questions: list[list[Any]] = [
        ["unit", store.file, "SN-1"],
        ["receipts", store.file, origin],
        ["export", store.file, "--unit", "SN-1"],
        ["export", store.file, "--stream", origin],
    ]
    for question in questions:
        refused = store.run(*question)
        assert isinstance(refused.exception, ConfigurationError), refused.output
        assert "--tenant" in refused.exception.hint
    refused = store.run("unit", store.file, "SN-1", "--tenant", "stranger")
    assert isinstance(refused.exception, ConfigurationError)
    assert "no stream of a tenant stranger" in refused.exception.what


def test_what_one_sends_in_the_name_of_another_is_refused_without_a_word_of_it(store: SharedStore) -> None:
    """The records of one in the topic of the other: they are judged as those of a stranger."""
    acme, other = store.gateways["acme"], store.gateways["other"]
    store.send_all()
    acme.append(unit="SN-1")
    store.ledger.process([(other.topics.records, acme.batch(acme.size - 1))])
    assert [stream.size for stream in reports.read_streams(store.database)] == [4, 6]
    assert reports.read_conflicts(store.database, tenant="acme") == []
    said = " ".join(each.detail for each in reports.read_refusals(store.database) if each.tenant == "other")
    assert "acme" not in said


def test_a_fork_of_one_is_a_conflict_of_that_one_alone(store: SharedStore) -> None:
    store.send_all()
    fork = store.gateways["other"].fork(2)
    fork.append(unit="SN-9")
    store.ledger.process([(fork.topics.records, fork.batch(2))])
    assert store.good("conflicts", store.file, "--tenant", "acme") == "no conflicts\n"
    refused = store.run("conflicts", store.file, "--tenant", "other")
    assert refused.exit_code == 1
    assert "SN-9" in refused.output
