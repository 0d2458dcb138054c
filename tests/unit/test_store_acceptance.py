import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.evidence.format import keys
from linewitness.evidence.format.columns import read_together
from linewitness.evidence.format.merkle import Frontier
from linewitness.evidence.format.signed_run import vouched_for
from linewitness.evidence.verify.chain import ChainVerifier
from linewitness.store import acceptance
from linewitness.store.acceptance import Acceptance, Pinned, ReadLine, lines_of, peek
from support.fake_gateway import FakeGateway
from support.present import present


@pytest.fixture
def gateway() -> FakeGateway:
    gateway = FakeGateway()
    gateway.grow(4)
    return gateway


def pinned(gateway: FakeGateway) -> Acceptance:
    return Acceptance(
        Pinned(gateway.origin, gateway.tenant, gateway.log_vkey, gateway.record0_hash),
        ChainVerifier(stream=gateway.origin, tenant=gateway.tenant),
        Frontier(),
    )


def test_head_and_root_follow_the_records(gateway: FakeGateway) -> None:
    gateway.rotate()
    gateway.grow(2)
    acceptance = pinned(gateway)
    accepted = acceptance.accept(map(ReadLine.of, gateway.records))
    assert accepted.stopped is None
    assert acceptance.size == gateway.size
    assert acceptance.root() == gateway.frontier.root()
    assert acceptance.last_hash == gateway.hashes[-1]
    assert [first for first, _ in accepted.event_keys] == [0, 6]
    assert acceptance.event_key == str(keys.event_vkey(gateway.origin, gateway.event_key))


def test_first_bad_record_ends_the_run_and_the_next_try_may_succeed(gateway: FakeGateway) -> None:
    acceptance = pinned(gateway)
    bad = gateway.records[2].replace(b'"341"', b'"342"')
    accepted = acceptance.accept(map(ReadLine.of, [*gateway.records[:2], bad, *gateway.records[3:]]))
    assert len(accepted.records) == 2
    assert present(accepted.stopped).index == 2
    assert acceptance.accept(map(ReadLine.of, gateway.records[2:])).stopped is None
    assert acceptance.root() == gateway.frontier.root()


def mixed() -> FakeGateway:
    """A stream with commits of many sizes, units, and a rotation."""
    gateway = FakeGateway()
    gateway.grow(2, unit="SN-1")
    for size in (7, 1, 3, 12):
        gateway.commit(size)
    gateway.rotate()
    gateway.commit(9)
    return gateway


STREAM = mixed()


@pytest.mark.heavy
@given(
    cuts=st.lists(st.integers(1, STREAM.size), max_size=8),
    spoiled=st.none()
    | st.tuples(st.integers(1, STREAM.size - 1), st.integers(0, 1200), st.binary(max_size=2)),
)
def test_records_taken_together_are_those_taken_one_by_one(
    cuts: list[int], spoiled: tuple[int, int, bytes] | None
) -> None:
    lines = list(STREAM.records)
    if spoiled is not None:
        at, place, put = spoiled
        lines[at] = lines[at][:place] + put + lines[at][place + 1 :]
    together, singly = pinned(STREAM), pinned(STREAM)
    for end in (*sorted(set(cuts)), STREAM.size):
        part = lines[together.size : end]
        columns = read_together(part)
        one = together.accept_together(columns) if columns else None
        one = one or together.accept(map(ReadLine.of, part))
        other = singly.accept(map(ReadLine.of, part))
        assert (one.records, one.waiting) == (other.records, other.waiting)
        assert sorted(one.nodes) == sorted(other.nodes)
        assert str(one.stopped) == str(other.stopped)
        assert (together.size, together.last_hash, together.root(), together.event_key) == (
            *(singly.size, singly.last_hash),
            *(singly.root(), singly.event_key),
        )


def test_whole_commits_are_taken_together_and_a_rotation_is_not() -> None:
    acceptance = pinned(STREAM)
    acceptance.accept(map(ReadLine.of, STREAM.records[:3]))
    rotation = STREAM.size - 10
    taken = acceptance.accept_together(present(read_together(STREAM.records[3:rotation])))
    assert len(present(taken).records) == rotation - 3
    assert acceptance.accept_together(present(read_together(STREAM.records[rotation:]))) is None
    assert acceptance.size == rotation


def test_record_0_must_be_the_pinned_one_even_after_a_wrong_one_was_seen(gateway: FakeGateway) -> None:
    acceptance = pinned(gateway)
    assert present(acceptance.accept(map(ReadLine.of, FakeGateway(seed="two").records)).stopped).index == 0
    assert acceptance.event_key is None
    assert acceptance.accept(map(ReadLine.of, gateway.records)).stopped is None


def test_signature_counts_only_for_its_stream_and_key(gateway: FakeGateway) -> None:
    line, key = gateway.records[3], keys.event_vkey(gateway.origin, gateway.event_key)
    assert vouched_for([line], stream=gateway.origin, event_key=key)
    assert not vouched_for([line], stream="other.example/1", event_key=key)
    assert not vouched_for([line.replace(b'"341"', b'"342"')], stream=gateway.origin, event_key=key)
    assert not vouched_for([b"{}"], stream=gateway.origin, event_key=key)
    gateway.rotate()
    new = keys.event_vkey(gateway.origin, gateway.event_key)
    assert not vouched_for([line], stream=gateway.origin, event_key=new)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"null",
        b'{"integrity":1,"sequence_no":1,"event_id":"x"}',
        b'{"integrity":{"stream":1},"sequence_no":1,"event_id":"x"}',
        b'{"integrity":{"stream":"s"},"sequence_no":-1,"event_id":"x"}',
        b'{"integrity":{"stream":"s"},"sequence_no":true,"event_id":"x"}',
        b'{"integrity":{"stream":"s"},"sequence_no":1,"event_id":null}',
        b'{"integrity":{"stream":"s"},"sequence_no":1,"event_id":"' + b"x" * 70_000 + b'"}',
        b"[" * 60_000,
    ],
)
def test_what_cannot_be_a_record_claims_nothing(line: bytes) -> None:
    assert peek(line) is None


def test_last_line_feed_may_be_missing() -> None:
    assert list(lines_of(b"a\nb\n")) == list(lines_of(b"a\nb")) == [[b"a", b"b"]]
    assert list(lines_of(b"")) == []


@pytest.mark.heavy
@given(lines=st.lists(st.binary(max_size=3).filter(lambda line: b"\n" not in line), max_size=40))
def test_a_message_is_split_as_a_whole_but_some_lines_at_a_time(lines: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(acceptance, "MAX_LINES", 7)
        blocks = list(lines_of(b"".join(line + b"\n" for line in lines)))
    assert [line for block in blocks for line in block] == lines
    assert all(0 < len(block) <= 7 for block in blocks)


def test_unit_is_the_parent_or_the_resource_itself(gateway: FakeGateway) -> None:
    acceptance = pinned(gateway)
    gateway.append(unit="SN-1")
    gateway.append("unit.entered", resource={"type": "unit", "id": "SN-2"})
    *_, child, unit = acceptance.accept(map(ReadLine.of, gateway.records)).records
    assert child.unit == "SN-1"
    assert unit.unit == "SN-2"
    assert acceptance.accept([ReadLine.of(gateway.append())]).records[0].unit is None
