"""The store's own stream of a tenant: what it says, in which order, and that all of it is so."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import NS_PER_S, Stamp
from linewitness.base.errors import ConfigurationError
from linewitness.evidence.format.canonical import MAX_BYTES
from linewitness.evidence.format.merkle import inclusion_proof, leaf_hash, root_of, verify_inclusion
from linewitness.evidence.tenant.custody import custody_in
from linewitness.evidence.verify.stream import verify
from linewitness.store import reports
from linewitness.store.database.enrolments import EnrolmentRequest
from linewitness.store.inbox.gateways import ServedGateways
from linewitness.store.inspection import inspect
from linewitness.store.tenant import deeds
from linewitness.store.tenant.custody import take_custody
from linewitness.store.tenant.inspected import InspectedStreams
from linewitness.store.tenant.keys import TenantKeysMissing
from linewitness.store.tenant.streams import TenantStreams
from support.fake_gateway import FakeGateway
from support.ledger_rig import NOW_NS, Store

pytestmark = pytest.mark.usefixtures("both_databases")
OWN = "store.example/acme/1"


class Rig(Store):
    """A store whose deeds are on record."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.folder = path / "tenants"
        self.streams = self.own()

    def own(self, *, rotates: bool = False) -> TenantStreams:
        return TenantStreams(
            self.database, store="store.example", folder=self.folder, clock=self.clock, rotates=rotates
        )

    def take(self, gateway: FakeGateway) -> None:
        asked = EnrolmentRequest.checked(
            gateway.tenant, gateway.gateway, str(gateway.log_vkey), gateway.record0_hash
        )
        deeds.enroll_stream(self.streams, asked)

    def lines(self, origin: str = OWN, tenant: str | None = None) -> list[bytes]:
        found = reports.read_records(self.database, origin=origin, tenant=tenant)
        return [record.data for record in found]

    def said(self, origin: str = OWN, tenant: str | None = None) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines(origin, tenant)]

    def kinds(self, origin: str = OWN) -> list[str]:
        return [record["kind"] for record in self.said(origin)]

    def later(self, seconds: float) -> None:
        self.clock.ns += int(seconds * NS_PER_S)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Rig]:
    store = Rig(tmp_path)
    yield store
    store.database.close()


def sound(lines: list[bytes]) -> None:
    """Require what the verifier of any stream requires, without anything to remark."""
    verdict = verify(lines)
    assert (verdict.text[:6], verdict.remarks) == ("INTACT", ())
    assert verdict.without_capture == ()


def values(record: dict[str, Any]) -> dict[str, Any]:
    return {change["field"]: change["after"] for change in record["changes"]}


def test_what_people_do_is_on_record_and_verifies(store: Rig) -> None:
    gateway = FakeGateway()
    store.take(gateway)
    store.take(gateway)
    store.send(gateway)
    store.later(3600)
    assert deeds.change_retention(store.streams, "acme", 3650, "contract") is None
    assert deeds.change_retention(store.streams, "acme", None, "for ever") == 3650
    assert deeds.retire_stream(store.streams, None, gateway.origin, "sold") == 1
    said = store.said()
    assert [record["kind"] for record in said] == [
        *("stream.created", "stream.enrolled", "retention.changed", "retention.changed", "stream.retired")
    ]
    assert values(said[1])["record_0"] == gateway.record0_hash
    assert said[3]["changes"] == [{"after": None, "before": 3650, "field": "days"}]
    assert (said[4]["resource"]["id"], values(said[4]), said[4]["reason"]) == (
        gateway.origin,
        {"size": 1},
        "sold",
    )
    assert said[4]["actor"]["type"] == "user"
    sound(store.lines())


def test_a_retired_stream_takes_no_record_more(store: Rig) -> None:
    gateway = FakeGateway()
    store.take(gateway)
    store.send(gateway)
    deeds.retire_stream(store.streams, None, gateway.origin, "sold")
    gateway.grow(2)
    store.send(gateway)
    assert store.held() == gateway.records[:1]
    (refusal,) = reports.read_refusals(store.database)
    assert refusal.reason == "retired"
    with pytest.raises(ConfigurationError, match="was retired at"):
        deeds.retire_stream(store.streams, None, gateway.origin, "again")
    assert store.kinds().count("stream.retired") == 1


def test_an_enrolment_that_fails_is_not_on_record(store: Rig) -> None:
    gateway = FakeGateway()
    store.take(gateway)
    other = FakeGateway(seed="two")
    with pytest.raises(ConfigurationError, match="enrolled already"):
        store.take(other)
    assert store.kinds() == ["stream.created", "stream.enrolled"]


def test_a_record_without_its_deed_is_not_there(store: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = FakeGateway()
    store.take(gateway)
    monkeypatch.setattr(deeds, "insert", None)
    with pytest.raises(TypeError):
        deeds.retire_stream(store.streams, None, gateway.origin, "sold")
    monkeypatch.undo()
    assert store.kinds() == ["stream.created", "stream.enrolled"]
    assert deeds.retire_stream(store.streams, None, gateway.origin, "sold") == 0
    sound(store.lines())


def test_custody_is_said_of_what_grew_and_not_too_often(store: Rig) -> None:
    gateway, other = FakeGateway(), FakeGateway(origin="acme.example/ber-01/line-03/1", gateway="ber-02")
    for each in (gateway, other):
        store.take(each)
    assert take_custody(store.streams) == 0
    gateway.grow(300)
    store.send(gateway)
    assert take_custody(store.streams) == 1
    store.send(other)
    assert take_custody(store.streams) == 0
    store.later(11)
    assert take_custody(store.streams) == 1
    store.later(11)
    assert take_custody(store.streams) == 0
    first, second = [custody_in(each) for each in store.said() if each["kind"] == "custody.taken"]
    root = f"sha256:{root_of(map(leaf_hash, gateway.records)).hex()}"
    assert first == ((gateway.origin, 0, 301, root),)
    assert second is not None
    assert [(one.stream, one.before, one.size) for one in second] == [(other.origin, 0, 1)]
    sound(store.lines())


def test_one_record_was_accepted_before_another_by_the_tenant_stream_alone(store: Rig) -> None:
    a, b = FakeGateway(), FakeGateway(origin="acme.example/ber-01/line-03/1", gateway="ber-02")
    for each in (a, b):
        store.take(each)
        each.grow(9)
    store.send(b, 0, 4)
    store.send(a, 0, 7)
    take_custody(store.streams, at_once=True)
    store.send(b, 4)
    store.send(a, 7)
    take_custody(store.streams, at_once=True)
    # What an auditor has: the tenant stream, which verifies; record 6 of A and 4 of B, with their proofs.
    lines = store.lines()
    sound(lines)
    early, late = [custody_in(json.loads(line)) or () for line in lines if b'"custody.taken"' in line]
    at = {one.stream: one for one in early}
    then = {one.stream: one for one in late}
    assert at[a.origin].size > 6
    assert at[b.origin].size <= 4 < then[b.origin].size
    for gateway, index, custody in ((a, 6, at[a.origin]), (b, 4, then[b.origin])):
        leaves = [leaf_hash(data) for data in gateway.records[: custody.size]]

        def subtree(level: int, number: int, leaves: list[bytes] = leaves) -> bytes:
            return root_of(leaves[number << level : (number + 1) << level])

        proof = inclusion_proof(index, custody.size, subtree)
        root = bytes.fromhex(custody.root.removeprefix("sha256:"))
        verify_inclusion(leaves[index], index, custody.size, root, proof)


def test_custody_of_many_streams_is_one_statement_in_several_records(store: Rig) -> None:
    gateways = [
        FakeGateway(origin=f"acme.example/{'x' * 600}/{number}/1", gateway=f"g-{number}")
        for number in range(40)
    ]
    for gateway in gateways:
        store.take(gateway)
    store.process(*((gateway.topics.records, gateway.batch()) for gateway in gateways))
    assert take_custody(store.streams) == 40
    taken = [line for line in store.lines() if b'"custody.taken"' in line]
    assert len(taken) > 1
    assert max(map(len, taken)) < MAX_BYTES
    more = [values(json.loads(line)).get("more") for line in taken]
    assert more == [True] * (len(taken) - 1) + [None]
    sound(store.lines())


def test_a_start_replaces_the_event_key_and_destroys_the_old_one(store: Rig) -> None:
    store.take(FakeGateway())
    before = set(store.folder.rglob("*.key"))
    started = store.own(rotates=True)
    for days in (1, 2):
        deeds.change_retention(started, "acme", days, "why")
    assert store.kinds()[2:] == ["key.rotated", "retention.changed", "retention.changed"]
    after = set(store.folder.rglob("*.key"))
    assert len(after) == len(before) == 2
    assert len(after & before) == 1
    sound(store.lines())


def test_a_command_after_a_start_of_the_machine_or_a_set_clock_leaves_no_remark(store: Rig) -> None:
    store.take(FakeGateway())
    store.clock.boot_id = "c"
    deeds.change_retention(store.streams, "acme", 1, "why")
    assert store.kinds()[2:] == ["key.rotated", "retention.changed"]
    sound(store.lines())
    stepped = store.clock.ns + 5 * NS_PER_S
    store.clock.stamp = lambda: Stamp(stepped, store.clock.ns - NOW_NS + 1)  # type: ignore[method-assign]
    deeds.change_retention(store.own(), "acme", 2, "why")
    assert store.kinds()[4:] == ["clock.stepped", "retention.changed"]
    (remark,) = verify(store.lines()).remarks
    assert "the clock was set by +5.000 s, on record" in remark.text


def test_keys_that_are_gone_stop_the_stream_until_a_person_continues_it(store: Rig, tmp_path: Path) -> None:
    store.take(FakeGateway())
    store.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(TenantKeysMissing):
        deeds.change_retention(store.streams, "acme", 1, "why")
    begun = deeds.continue_stream(store.streams, None, "the machine burnt down")
    assert begun.origin == "store.example/acme/2"
    deeds.change_retention(store.streams, "acme", 1, "why")
    assert store.kinds() == ["stream.created", "stream.enrolled"]
    said = store.said(begun.origin)
    assert [one["kind"] for one in said] == ["stream.created", "stream.continuity", "retention.changed"]
    assert values(said[1])["continues"] == OWN
    assert values(said[1])["size"] == 2
    sound(store.lines(begun.origin))


def test_an_older_copy_of_the_database_is_not_written_on(store: Rig) -> None:
    store.take(FakeGateway())
    deeds.change_retention(store.streams, "acme", 1, "why")
    (head,) = store.folder.rglob("head")
    size, _, rest = head.read_text().partition(" ")
    head.write_text(f"{int(size) + 1} {rest}")
    with pytest.raises(TenantKeysMissing, match="restored from an older copy"):
        deeds.change_retention(store.streams, "acme", 2, "why")
    assert deeds.continue_stream(store.streams, None, "restored").origin.endswith("/2")


def test_two_tenants_have_streams_of_their_own(store: Rig) -> None:
    one, two = FakeGateway(), FakeGateway(tenant="umbrella corp", seed="two")
    store.take(one)
    store.take(two)
    store.send(two)
    assert take_custody(store.streams) == 1
    assert store.said(tenant="acme")[1]["changes"][2]["after"] == one.record0_hash
    theirs = store.said("store.example/umbrella%20corp/1", "umbrella corp")
    assert [record["kind"] for record in theirs] == ["stream.created", "stream.enrolled", "custody.taken"]
    assert {record["tenant_id"] for record in theirs} == {"umbrella corp"}


async def test_an_inspection_is_on_record(store: Rig) -> None:
    gateway = FakeGateway()
    store.take(gateway)
    gateway.grow(4)
    store.send(gateway)
    found = InspectedStreams()
    assert await inspect(store.database, store_key=store.cosigner.vkey, streams=found) == []
    deeds.say_checked(store.streams, found.found, reason="daily")
    checked = [record for record in store.said() if record["kind"] == "integrity.checked"]
    assert [(one["resource"]["id"], values(one)["size"]) for one in checked] == [
        (gateway.origin, 5),
        (OWN, 2),
    ]
    root = f"sha256:{root_of(map(leaf_hash, gateway.records)).hex()}"
    assert values(checked[0]) == {"first": 0, "size": 5, "root": root, "verdict": "sound"}
    sound(store.lines())


def test_a_gateway_cannot_write_the_tenant_stream(store: Rig) -> None:
    gateway = FakeGateway()
    store.take(gateway)
    impostor = FakeGateway(origin=OWN)
    assert store.send(impostor) == []
    (refusal,) = reports.read_refusals(store.database)
    assert (refusal.origin, refusal.reason) == (OWN, "unknown")
    assert store.kinds() == ["stream.created", "stream.enrolled"]
    assert ServedGateways(store.database).names() == {("acme", "ber-01")}
