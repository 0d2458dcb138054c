"""Show how far the selftest is, and its table."""

import sys
from typing import Final, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from linewitness_selftest.outcome import FaultOutcome
from linewitness_selftest.suite import SelftestReport

_HEADS: Final = ("fault", "injected", "survived", "lost", "duplicated", "note")
_COLUMNS: Final = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
)


class Progressing:
    """A bar for what is done now on a terminal, a line for each row elsewhere; on standard error."""

    def __init__(self) -> None:
        """Find out whether somebody looks."""
        self._console = Console(stderr=True)
        self._live = sys.stderr.isatty()
        self._progress = Progress(*_COLUMNS, console=self._console, disable=not self._live)
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Begin to show."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self._progress.stop()

    def begin(self, fault: str) -> None:
        """Show what is done now."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(fault, total=None)

    def tick(self, done: int, total: int) -> None:
        """Show how much of it is done."""
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total)

    def end(self, row: FaultOutcome) -> None:
        """Say what came of it."""
        self._progress.console.print(f"{row.fault}: {_in_words(row)}", soft_wrap=True, highlight=False)


def show(report: SelftestReport, console: Console) -> None:
    """Print the table and what it means."""
    table = Table(
        title=f"selftest in {report.directory}, seed {report.seed}", title_justify="left", box=SIMPLE_HEAD
    )
    for head in _HEADS:
        table.add_column(head, justify="left" if head in ("fault", "note") else "right", overflow="fold")
    for row in report.rows:
        numbers = map(str, (row.injected, row.survived, row.lost, row.duplicated))
        table.add_row(row.fault, *numbers, row.note, style=None if row.held else "red")
    console.print(table)
    for sentence in _sentences(report):
        console.print(sentence, soft_wrap=True, highlight=False)


def _sentences(report: SelftestReport) -> list[str]:
    injected = sum(row.injected for row in report.rows)
    said = [report.speed.sentence()]
    if report.not_run:
        names = "; ".join(row.fault for row in report.not_run)
        said.append(f"Not run, so that nothing is known of it: {names}. The notes say what is missing.")
    if report.held:
        said.append(f"{injected} faults, nothing lost, nothing twice: what is told to be safe is safe here.")
    else:
        said.append(
            "A promise was broken on this disk: do not let a line depend on it before somebody knows why. "
            f"The same again: --seed {report.seed}"
        )
    return said


def _in_words(row: FaultOutcome) -> str:
    if not row.injected:
        return row.note or "nothing was injected"
    return (
        f"{row.injected} injected, {row.survived} survived, {row.lost} lost, {row.duplicated} duplicated"
        + ("" if row.held else f" ({row.note})")
    )
