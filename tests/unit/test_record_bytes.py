"""Records assembled from prepared pieces have the bytes that the format's own encoder writes."""

import hashlib
import hmac
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from linewitness.base.clock import ClockState, SharedClockState
from linewitness.evidence.format import canonical, record
from linewitness.evidence.format.kinds import KINDS
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.records.builder import EventKey, RecordBuilder, StreamIdentity
from linewitness.records.commit import Commit
from linewitness.records.record_bytes import RecordFacts
from support.clocks import ManualClock

IDENTITY = StreamIdentity("acme.example/ber-01/line-02/1", 'acme \u20ac "x"', "ber-01", "line-02")
KEY = EventKey(IDENTITY.stream, SigningKey(bytes(32)))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NAME = st.sampled_from(["press-4", "a\u2028b", '\x00\x1f\x7f"\\/', "\U0001f529", ""]) | TEXT
SCALAR: Any = st.one_of(
    st.none(),
    st.booleans(),
    TEXT,
    st.integers(),
    st.integers(-(2**53), 2**53),
    st.floats(),
    st.binary(max_size=4),
)
EVENT = st.builds(
    Event,
    kind=st.sampled_from(sorted(set(KINDS) - {"stream.created"})),
    occurred_ns=st.integers(0, 4_000_000_000_000_000_000),
    occurred_from=st.sampled_from(["device", "server", "poll", "gateway"]),
    actor=st.builds(
        Actor,
        type=st.sampled_from(["user", "service", "device", "system"]),
        id=NAME,
        display_name=st.none() | NAME,
        auth_method=st.none() | NAME,
        source_ip=st.none() | NAME,
    ),
    resource=st.builds(Resource, type=NAME, id=NAME, parent=st.none() | st.tuples(NAME, NAME)),
    reason=TEXT | st.text(string.ascii_letters, min_size=190, max_size=300),
    action=st.none() | st.sampled_from(["create", "read"]),
    changes=st.lists(
        st.builds(
            Change,
            field=NAME,
            before=SCALAR,
            after=SCALAR,
            unit=st.none() | NAME,
            low=st.none() | NAME,
            high=st.none() | NAME,
            status=st.none() | st.sampled_from(["ok", "low", "high", "nok"]),
        ),
        max_size=4,
    ).map(tuple),
    context=st.dictionaries(st.sampled_from(["device_id", "station_id", "line_id", "raw_hmac_sha256"]), NAME),
    occurred_unc_ms=st.none() | st.integers(-5, 10_000),
    device_time=st.none() | NAME,
    device_offset_ms=st.none() | st.integers(-(10**6), 10**6),
)
STATE = st.builds(
    ClockState,
    sync=st.sampled_from(["locked", "holdover", "unsynced"]),
    bound_us=st.none() | st.integers(0, 10**9),
)


@pytest.mark.heavy
@given(event=EVENT, state=STATE, number=st.integers(0, 10**9), steps=st.integers(0, 99))
def test_the_assembled_bytes_are_those_of_the_general_encoder(
    event: Event, state: ClockState, number: int, steps: int
) -> None:
    clock = ManualClock()
    builder = RecordBuilder(IDENTITY, clock=clock, clock_state=SharedClockState())
    facts = RecordFacts(
        event, "01ARZ3NDEKTSV4RRFFQ69G5FAV", event.context, number, clock.stamp(), state, steps, event.reason
    )
    link = {"prev_hash": record.ZERO_HASH, "key_id": KEY.key_id}
    quick = builder._bytes.draft(facts, **link)
    assert quick == record.draft(builder.members(facts), stream=IDENTITY.stream, **link)
    assert canonical.encode(canonical.load(quick.data())) == quick.data()


@pytest.mark.parametrize("where", ["reason", "change", "actor", "context", "resource"])
def test_a_lone_surrogate_becomes_a_replacement_character(where: str, clock: ManualClock) -> None:
    bad = "a\ud800b"
    good = Event(
        kind="alarm.raised",
        occurred_ns=0,
        occurred_from="device",
        actor=Actor("device", "d"),
        resource=Resource("alarm", "1"),
        reason="why",
    )
    event = {
        "reason": replace(good, reason=bad),
        "change": replace(good, changes=(Change("text", None, bad),)),
        "actor": replace(good, actor=Actor("device", bad)),
        "context": replace(good, context={"device_id": bad}),
        "resource": replace(good, resource=Resource("alarm", bad)),
    }[where]
    builder = RecordBuilder(IDENTITY, clock=clock, clock_state=SharedClockState())
    draft = builder.build(event, sequence_no=1, prev_hash=record.ZERO_HASH, key=KEY, stamp=clock.stamp())
    assert "a\ufffdb" in draft.data().decode()
    record.parse(draft.data())


def test_event_ids_are_ulids_that_rise_with_time(clock: ManualClock) -> None:
    builder = RecordBuilder(IDENTITY, clock=clock, clock_state=SharedClockState())
    event = Event(
        kind="alarm.raised",
        occurred_ns=0,
        occurred_from="device",
        actor=Actor("device", "d"),
        resource=Resource("alarm", "1"),
        reason="why",
    )
    ids = []
    for number in range(50):
        clock.advance_ns(1_000_000)
        draft = builder.build(
            event, sequence_no=number, prev_hash=record.ZERO_HASH, key=KEY, stamp=clock.stamp()
        )
        ids.append(record.parse(draft.data())["event_id"])
    assert ids == sorted(set(ids))


def test_a_record_names_the_devices_own_bytes_by_a_hash_under_a_salt_of_its_own(clock: ManualClock) -> None:
    scanned = Event(
        kind="identifier.scanned",
        occurred_ns=0,
        occurred_from="device",
        actor=Actor("device", "scan-10"),
        resource=Resource("scan", "1", ("unit", "SN0001")),
        reason="why",
        raw=b"SN0001\r",
    )
    builder = RecordBuilder(IDENTITY, clock=clock, clock_state=SharedClockState())
    commit = Commit(builder, size=1, record_hash=record.ZERO_HASH, key=KEY)
    for _ in range(3):
        commit.add(scanned, clock.stamp())
    named = [record.parse(data)["context"]["raw_hmac_sha256"] for data in commit.rows().data]
    assert len(set(named)) == len(named)
    for raw, name in zip(commit.raws, named, strict=True):
        assert raw.data == scanned.raw
        assert hmac.new(raw.salt, raw.data, hashlib.sha256).hexdigest() == name
    assert [raw.sequence_no for raw in commit.raws] == [1, 2, 3]


def test_what_no_device_sent_has_no_hash(clock: ManualClock) -> None:
    builder = RecordBuilder(IDENTITY, clock=clock, clock_state=SharedClockState())
    commit = Commit(builder, size=1, record_hash=record.ZERO_HASH, key=KEY)
    commit.add(
        Event(
            kind="alarm.raised",
            occurred_ns=0,
            occurred_from="gateway",
            actor=Actor("device", "d"),
            resource=Resource("alarm", "1"),
            reason="why",
        ),
        clock.stamp(),
    )
    assert "raw_hmac_sha256" not in record.parse(commit.rows().data[0])["context"]
    assert commit.raws == []
