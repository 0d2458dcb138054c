"""Which receipts become a record, and which ones are kept."""

import pytest

from linewitness.gateway.answers import receipt_pace
from linewitness.gateway.answers.receipt_pace import PERIOD_S, RECORDS, ReceiptPace


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(receipt_pace, "monotonic", lambda: now[0])
    return now


def test_at_speed_one_record_in_a_hundred_is_a_receipt(passed: list[float]) -> None:
    pace = ReceiptPace()
    told = 0
    for size in range(2, 10_000, 3):
        passed[0] += 0.003
        told += pace.tells(size)
    assert told == pytest.approx(10_000 / RECORDS, abs=2)


def test_on_a_slow_line_one_a_minute_and_none_for_itself(passed: list[float]) -> None:
    pace = ReceiptPace()
    assert pace.tells(2)
    passed[0] += PERIOD_S
    assert not pace.tells(3), "the record of the receipt before, alone"
    assert pace.tells(4)
    assert not pace.tells(6)
    passed[0] += PERIOD_S
    assert pace.tells(7)


def test_of_receipts_without_a_record_the_newest_is_kept_and_one_a_second(passed: list[float]) -> None:
    pace = ReceiptPace()
    kept: set[int] = set()
    for size in range(10, 110, 10):
        passed[0] += 0.25
        gone = pace.replaces(size, told=size == 50)
        kept.discard(gone or 0)
        kept.add(size)
    assert {10, 50, 100} <= kept
    assert len(kept) == 4, kept
