"""`linewitness delays`: measure the delay from event to journal and to receipt, and explain late events."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from linewitness.evidence.verify.statements import Statement
    from linewitness.status.delays import Delays, Spread

_ROW = "{:<20} {:>9} {:>12} {:>12} {:>12} {:>12}  {}"


def delays(
    source: Annotated[
        Path,
        typer.Argument(
            help="A line's YAML, a journal's folder, or exported records (NDJSON).", show_default=False
        ),
    ],
    *,
    store: Annotated[
        Path | None,
        typer.Option(help="The audit store's YAML: use its `accepted_at` of each record."),
    ] = None,
    late_s: Annotated[int, typer.Option(min=1, help="Seconds after which an event counts as late.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Measure how soon events were recorded and receipted, and explain late ones. Reads only."""
    import orjson

    from linewitness.cli.sources import evidence
    from linewitness.evidence.format.record import parse
    from linewitness.status.delays import measure_delays

    with evidence(source) as found:
        parsed = (parse(data) for data in found.records())
        if store is None:
            unpaired = ((members, None) for members in parsed)
            report = measure_delays(unpaired, late_s=late_s, receipts=_receipts(found.statements))
        else:
            paired = _with_acceptance(parsed, store)
            report = measure_delays(paired, late_s=late_s, custody="accepted_at")
    if as_json:
        typer.echo(orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2).decode())
    else:
        for line in lines_of(report):
            typer.echo(line)


def _receipts(statements: "Iterable[Statement]") -> Iterator[tuple[int, int]]:
    """Yield size and time (ns) of each cosigned checkpoint; whose it is, is for a verifier to say."""
    from linewitness.base.clock import NS_PER_S
    from linewitness.evidence.format.checkpoint import Checkpoint
    from linewitness.evidence.format.note import BadNote, Note

    for one in statements:
        try:
            note = Note.parse(one.text)
            times = [line.time_s for line in note.signatures if line.time_s is not None]
            if times:
                yield Checkpoint.parse(note.text).size, min(times) * NS_PER_S
        except BadNote:
            continue


def _with_acceptance(
    parsed: Iterator[Mapping[str, Any]], store: Path
) -> Iterator[tuple[Mapping[str, Any], int | None]]:
    """Yield each record with the store's time of acceptance, or None where the store does not hold it."""
    from linewitness.base.clock import from_rfc3339
    from linewitness.cli.sources import store_database
    from linewitness.store.reports import read_records

    with store_database(store) as database:
        held = None
        for members in parsed:
            if held is None:
                origin = members["integrity"]["stream"]
                held = read_records(database, tenant=members["tenant_id"], origin=origin)
                stored = next(held, None)
            while stored is not None and stored.seq < members["sequence_no"]:
                stored = next(held, None)
            here = stored is not None and stored.seq == members["sequence_no"]
            yield members, from_rfc3339(stored.accepted_at) if stored is not None and here else None


def lines_of(found: "Delays") -> Iterator[str]:
    """Yield the lines of the text report."""
    how = "the store's accepted_at" if found.custody == "accepted_at" else "the receipt that first covered it"
    yield f"{found.records:,} records; receipts are dated by {how}"
    yield ""
    yield _ROW.format("from event to journal", "events", "half", "95 %", "99 %", "worst", "").rstrip()
    for one in found.devices:
        if one.to_journal is not None:
            yield _row(one.device, one.to_journal, f"{one.late} late" if one.late else "")
    yield ""
    yield _ROW.format("from journal to receipt", "records", "half", "95 %", "99 %", "worst", "").rstrip()
    if found.to_custody is not None:
        yield _row("all records", found.to_custody, "")
    for one in found.devices:
        if one.to_custody is not None:
            yield _row(one.device, one.to_custody, "")
    yield f"not receipted yet: {found.not_in_custody:,}"
    yield from _late_lines(found)
    yield from _cluster_lines(found)


def _row(name: str, spread: "Spread", more: str) -> str:
    figures = (spread.p50_ms, spread.p95_ms, spread.p99_ms, spread.worst_ms)
    texts = [f"{milliseconds / 1000:,.3f} s" for milliseconds in figures]
    return _ROW.format(name, f"{spread.count:,}", *texts, f"record {spread.worst_at}  {more}").rstrip()


def _late_lines(found: "Delays") -> Iterator[str]:
    total = sum(found.late_by_cause.values())
    yield ""
    yield f"late by more than {found.late_s} s, or stamped before they could have happened: {total:,}"
    for cause, count in found.late_by_cause.items():
        yield f"  {count:>8,}  {cause}"
    for one in found.late:
        yield (
            f"  record {one.sequence_no}  {one.kind} of {one.device} at {one.occurred_at}:"
            f" {one.delay_ms / 1000:+,.3f} s, {one.cause}"
        )


def _cluster_lines(found: "Delays") -> Iterator[str]:
    yield ""
    yield f"records that share their time with two or more others of the device: {found.in_clusters:,}"
    for one in found.clusters:
        yield (
            f"  {one.count} of {one.device} at {one.occurred_at} (by {one.occurred_from}),"
            f" records {one.first} to {one.last}"
        )
