"""A block of signals in several messages says what the whole one says."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.gateway.sending.signal_sender import cut
from linewitness.journal.telemetry.file import SignalBlock

VALUES = st.lists(st.one_of(st.integers(0, 10**9), st.text(max_size=60)), min_size=1, max_size=40)


@pytest.mark.heavy
@given(VALUES, st.sets(st.integers(0, 39)), st.booleans(), st.integers(60, 2000))
def test_all_that_fits_comes_once_in_order_with_its_time_and_status(
    values: list[Any], bad: set[int], timed: bool, most: int
) -> None:
    count = len(values)
    message: dict[str, Any] = {"at": "now", "points": [f"p{n}" for n in range(count)], "values": values}
    if timed:
        message["times_ms"] = list(range(count))
    if status := {str(n): "Bad" for n in sorted(bad) if n < count}:
        message["status"] = status
    pieces = list(cut(SignalBlock(None, "press", count, orjson.dumps(message)), most))
    assert sum(points for points, _ in pieces) == count
    heard: list[tuple[Any, ...]] = []
    lost = 0
    for points, payload in pieces:
        if payload is None:
            assert points == 1
            lost += 1
            continue
        assert len(payload) <= most
        said = orjson.loads(payload)
        assert len(said["points"]) == points
        assert said["at"] == "now"
        assert said.get("status") != {}
        for at, point in enumerate(said["points"]):
            time = said["times_ms"][at] if timed else None
            heard.append((point, said["values"][at], time, str(at) in said.get("status", {})))
    whole = [(f"p{n}", values[n], n if timed else None, n in bad) for n in range(count)]
    assert [each for each in whole if each in heard] == heard
    assert len(heard) == count - lost
