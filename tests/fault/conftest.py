"""The account of all fault tests: each hands in its rows, and one table ends the run."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from linewitness_selftest.auditors import Auditors, running_auditors
from linewitness_selftest.outcome import FaultOutcome

_ROWS = pytest.StashKey[list[FaultOutcome]]()
_HEADS = ("fault", "injected", "survived", "lost", "duplicated", "note")


@pytest.fixture(scope="session")
def auditors() -> Iterator[Auditors]:
    """Judge what the faults leave in other processes, which no test breaks: they start before it."""
    with running_auditors() as running:
        yield running


@pytest.fixture
def account(request: pytest.FixtureRequest) -> Callable[[FaultOutcome], None]:
    """Put an outcome into the table at the end of the run, and fail where its promise did not hold."""

    def put(outcome: FaultOutcome) -> None:
        request.config.stash.setdefault(_ROWS, []).append(outcome)
        assert outcome.held, f"the promise did not hold: {outcome}"

    return put


def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    """Print the table."""
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    cells = [_HEADS, *map(_cells, rows)]
    cells.append(_cells(_total(rows)))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    terminalreporter.section("faults")
    for row in cells:
        terminalreporter.write_line(_line(row, widths), red=row is not cells[0] and _is_bad(row))


def _cells(row: FaultOutcome) -> tuple[str, ...]:
    return (row.fault, *map(str, (row.injected, row.survived, row.lost, row.duplicated)), row.note)


def _total(rows: list[FaultOutcome]) -> FaultOutcome:
    return FaultOutcome(
        fault="all",
        injected=sum(row.injected for row in rows),
        survived=sum(row.survived for row in rows),
        lost=sum(row.lost for row in rows),
        duplicated=sum(row.duplicated for row in rows),
    )


def _is_bad(row: tuple[str, ...]) -> bool:
    return row[1] != row[2] or row[3:5] != ("0", "0")


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    fault, *numbers, note = (
        cell.rjust(width) if 0 < at < len(row) - 1 else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join((fault, *numbers, note)).rstrip()
