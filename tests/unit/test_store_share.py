"""Which worker serves which gateway: fixed for ever, each by one, and nothing of another's is looked at."""

from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from linewitness.cli import app
from linewitness.store.inbox.inbox import StoreInbox
from linewitness.store.inbox.quota import QuotaOptions
from linewitness.store.inbox.share import EVERYBODY, PARTITIONS, GatewayShare, partition_of
from linewitness.store.options import AuditStoreOptions
from linewitness.uplink.topics import Topics


def test_a_gateway_is_in_the_same_partition_on_every_machine_and_in_every_version() -> None:
    assert partition_of("acme", "ber-01") == 22
    assert partition_of("acme", "ber-02") == 12
    assert partition_of("größe", "gw-1") == 51


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 64])
def test_every_gateway_is_served_by_one_worker(workers: int) -> None:
    shares = [GatewayShare.of(worker, workers) for worker in range(workers)]
    counts = Counter(number for share in shares for number in share.partitions)
    assert counts == dict.fromkeys(range(PARTITIONS), 1)
    assert sum(share.serves("acme", "ber-01") for share in shares) == 1
    assert EVERYBODY.serves("acme", "ber-01")


def test_hundred_gateways_are_spread_over_the_workers() -> None:
    share = GatewayShare.of(0, 4)
    assert 10 < sum(share.serves("acme", f"line-{number:02}") for number in range(100)) < 40


async def test_a_worker_ignores_the_messages_of_another_and_takes_over_when_it_is_told() -> None:
    mine, other = (Topics("acme", f"gw-{number}") for number in (0, 1))
    names = {(each.tenant, each.gateway) for each in (mine, other)}
    ours = GatewayShare(frozenset({partition_of("acme", "gw-0")}))
    inbox = StoreInbox(QuotaOptions(), share=ours)
    inbox.enrolled({("acme", "gw-0")})
    inbox.offer(other.records, b"x")
    assert not inbox.strangers
    assert inbox.drops.due(0.0) == [], "it is no stranger, but another worker's"
    inbox.offer(mine.records, b"mine")
    assert await anext(inbox.turns()) == [(mine.records, b"mine")]
    inbox.offer(mine.records, b"waits")
    inbox.serve(GatewayShare(frozenset({partition_of("acme", "gw-1")})))
    assert inbox.size == 0, "what waits is another worker's now"
    inbox.enrolled(names & {("acme", "gw-1")})
    inbox.offer(mine.records, b"x")
    inbox.offer(other.records, b"other")
    assert await anext(inbox.turns()) == [(other.records, b"other")]


def settings(**changed: object) -> dict[str, object]:
    return {
        "database": "postgresql://linewitness_ledger@db.example/linewitness",
        "name": "store.example",
        "key": {"file": "/store.key"},
        "mqtt": {"url": "mqtt://broker.example"},
        **changed,
    }


def test_each_worker_has_its_own_name_and_certificate_at_the_broker() -> None:
    options = AuditStoreOptions.model_validate(
        settings(
            workers=2,
            mqtt={
                "url": "mqtts://broker.example",
                "client_id": "store-{worker}",
                "tls": {"certificate": "/tls/store-{worker}.pem", "key": {"file": "/tls/store-{worker}.key"}},
            },
        )
    )
    mqtt = options.of_worker(1).mqtt
    assert mqtt.client_id == "store-1"
    assert str(mqtt.tls.certificate) == "/tls/store-1.pem"
    assert mqtt.tls.key is not None
    assert str(mqtt.tls.key.file) == "/tls/store-1.key"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"workers": 2, "database": "sqlite:////store.db"}, "need a database in PostgreSQL"),
        ({"workers": 2, "mqtt": {"url": "mqtt://b", "client_id": "store"}}, "a client id of its own"),
        ({"workers": 65}, "less than or equal to 64"),
    ],
)
def test_what_workers_cannot_share_is_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AuditStoreOptions.model_validate(settings(**changed))


def test_check_looks_for_the_files_of_each_worker(tmp_path: Path) -> None:
    for name in ("store.key", "store-0.pem", "store-0.key", "store-1.pem"):
        (tmp_path / name).touch(0o600)
    (tmp_path / "store.yaml").write_text(
        "database: postgresql://linewitness_ledger@db.example/linewitness\nworkers: 2\n"
        "name: store.example\nkey: {file: store.key}\n"
        "mqtt:\n  url: mqtts://broker.example\n"
        "  tls: {certificate: 'store-{worker}.pem', key: {file: 'store-{worker}.key'}}\n"
    )
    said = CliRunner().invoke(app, ["check", str(tmp_path / "store.yaml")])
    assert said.exit_code == 0, said.output
    assert "store-1.key is not there" in said.output
    assert said.output.count("is not there") == 1
