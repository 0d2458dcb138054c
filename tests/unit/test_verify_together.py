"""Records that are checked together give what records give that are checked one after the other."""

import copy
import functools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.verify import chunk
from linewitness.evidence.verify.chunk import ChainState, CheckedChunk, check_chunk
from support.chain_builder import ORIGIN, Stream
from support.mutants import spoil

pytestmark = pytest.mark.heavy

OTHER = SigningKey(b"o" * 32)
#: The first so many hold record 0, and are checked one after the other.
GROUP = 256
BEFORE = 2 * GROUP + 20


@functools.cache
def _grown() -> Stream:
    stream = Stream()
    stream.create()
    while len(stream.records) < BEFORE:
        stream.commit(5)
    return stream


def grown() -> Stream:
    """Return a stream of so many records that some are checked together before what a test adds."""
    return copy.deepcopy(_grown())


def both_ways(
    monkeypatch: pytest.MonkeyPatch, records: list[bytes], start: ChainState | None = None
) -> CheckedChunk:
    """Check records both ways, compare all that comes of it, and return it; one way was together."""
    together: list[bool] = []

    def counted(self: Any, columns: Any) -> bool:
        together.append(whole(self, columns))
        return together[-1]

    whole = chunk._Check._together
    start = start or ChainState()
    with monkeypatch.context() as patch:
        patch.setattr(chunk._Check, "_together", counted)
        quick = check_chunk(ORIGIN, start, records)
    with monkeypatch.context() as patch:
        patch.setattr(chunk, "read_columns", iter)
        slow = check_chunk(ORIGIN, start, records)
    assert any(together) or start.head
    assert str(quick.broken) == str(slow.broken)
    assert replace(quick, broken=None) == replace(slow, broken=None)
    return quick


def signed_by_another(stream: Stream) -> None:
    stream.append(stream.seal(stream.members(), key=OTHER))


def of_another_stream(stream: Stream) -> None:
    stream.append(stream.seal(stream.members(), stream=ORIGIN[:-1] + "2"))


def of_no_day(stream: Stream) -> None:
    stream.add(ingested_at="2026-02-30T00:00:00.000Z")


def after_a_boot(stream: Stream) -> None:
    stream.boot_id = stream.boot_id[:-1] + "2"
    stream.add()


def after_a_start(stream: Stream) -> None:
    stream.boot_id = stream.boot_id[:-1] + "2"
    stream.add("gateway.started", resource={"type": "gateway", "id": "gw"})


def after_a_step(stream: Stream) -> None:
    stream.step += 1
    stream.add()


def after_a_silence(stream: Stream) -> None:
    stream.tick(240_000)
    stream.add()


def after_a_jump(stream: Stream) -> None:
    stream.now_ms += 5_000
    stream.add()


def before_the_uptime(stream: Stream) -> None:
    stream.boottime_us -= 3_000_000
    stream.now_ms -= 3_000
    stream.add()


def with_a_wrong_signature(stream: Stream) -> None:
    data = stream.seal(stream.members())
    at = data.index(b'"signature":"ed25519:') + 30
    stream.append(data[:at] + (b"A" if data[at : at + 1] != b"A" else b"B") + data[at + 1 :])


MISCHIEF: dict[str, tuple[Callable[[Stream], object], str | None]] = {
    "none": (lambda _: None, None),
    "number": (lambda stream: stream.add(sequence_no=7), "its sequence_no is 7"),
    "tenant": (lambda stream: stream.add(tenant_id="other"), "belongs to the tenant"),
    "link": (
        lambda stream: stream.append(stream.seal(stream.members(), prev_hash="sha256:" + "1" * 64)),
        "its prev_hash",
    ),
    "stream": (of_another_stream, "belongs to the stream"),
    "key": (signed_by_another, "signed by the key"),
    "signature": (with_a_wrong_signature, "signature is not one of the active key"),
    "created again": (lambda stream: stream.create(), "wrong place"),
    "rotated": (lambda stream: stream.rotate(), None),
    "unsigned": (lambda stream: [stream.add(signed=False) for _ in range(256)], "256 records"),
    "no day": (of_no_day, "no date of the calendar"),
    "boot": (after_a_boot, None),
    "start": (after_a_start, None),
    "step": (after_a_step, "without clock.stepped"),
    "silence": (after_a_silence, None),
    "jump": (after_a_jump, "without clock.stepped"),
    "uptime": (before_the_uptime, "within one boot"),
    "unit": (lambda stream: stream.add(resource={"type": "unit", "id": "SN1"}), None),
}


@pytest.mark.parametrize("name", MISCHIEF)
def test_what_is_wrong_and_what_is_remarkable_is_found_alike(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    act, reason = MISCHIEF[name]
    stream = grown()
    act(stream)
    while len(stream.records) < 3 * GROUP:
        stream.commit(5)
    checked = both_ways(monkeypatch, stream.records)
    if reason is None:
        assert checked.broken is None
        assert checked.count == len(stream.records)
    else:
        assert reason in str(checked.broken)
    # And so where the records before were checked at another time.
    first = both_ways(monkeypatch, stream.records[: 2 * GROUP])
    both_ways(monkeypatch, stream.records[2 * GROUP :], first.end)


@pytest.mark.parametrize("seed", range(60))
def test_spoiled_bytes_are_found_alike(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)
    stream = grown()
    at = dice.randrange(2 * GROUP, len(stream.records))
    stream.records[at] = spoil(stream.records[at], dice)
    both_ways(monkeypatch, stream.records)
