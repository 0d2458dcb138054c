"""`linewitness unit`: one unit's records in a journal, its checklist and its components."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from linewitness.cli.sources import journal


def unit(
    source: Annotated[
        Path, typer.Argument(help="The line's YAML, or the journal's folder.", show_default=False)
    ],
    serial: Annotated[str, typer.Argument(help="The serialized unit.", show_default=False)],
) -> None:
    """List a unit's records that are here, and when there was no capture; then its checklist and components.

    Between its records stand the gaps and disturbances of its devices and stations.
    The checklist says each requirement and by which of these records it was met.
    """
    from linewitness.evidence.format.record import parse
    from linewitness.evidence.package.query import RecordQuery
    from linewitness.evidence.package.spool import RecordSpool
    from linewitness.journal.holdings import JournalHoldings

    with journal(source) as reader, RecordSpool() as spool:
        RecordQuery(units=(serial,)).collect(JournalHoldings(reader), spool, most=None)
        found = [data for _, data in spool]
    for data in found:
        record = parse(data)
        what = f"{record['kind']} {record['resource']['id']}"
        typer.echo(f"{record['sequence_no']} {record['occurred_at']} {what}: {record['reason']}")
    if not found:
        typer.echo(f"there are no records of the unit {serial}")
    else:
        echo_stretches(found)
    echo_history(found)


def echo_stretches(records: Iterable[bytes], *, of: str = "") -> None:
    """Print from when to when records of a stream say that there was no capture; `of` names the stream."""
    from linewitness.evidence.format.record import parse
    from linewitness.evidence.verify.capture_stretches import StretchFinder
    from linewitness.evidence.verify.signs import sign_of

    finder = StretchFinder()
    finder.follow(sign_of(parse(data)) for data in records)
    where = f" of {of}" if of else ""
    found = finder.end()
    for stretch in found:
        typer.echo(f"without capture{where}: {stretch.text}")
    if not found:
        typer.echo(f"without capture{where}: nothing of its devices and stations is on record")
    elif finder.left_out:
        typer.echo(f"without capture{where}: {finder.left_out} more stretches are not listed")


def echo_history(records: Iterable[bytes]) -> None:
    """Print what the records say of checklists, components, refusals and overrides."""
    for line in _lines(records):
        typer.echo(line)


def _lines(records: Iterable[bytes]) -> Iterator[str]:
    from linewitness.evidence.format.record import parse
    from linewitness.evidence.history.histories import DeviceHistories
    from linewitness.evidence.history.text import lines_of

    histories = DeviceHistories()
    for data in records:
        histories.add(parse(data))
    for history in histories.all:
        lines = list(lines_of(history))
        if lines:
            yield ""
            yield f"unit {history.unit}" if history.unit else "of no unit"
            yield from lines
