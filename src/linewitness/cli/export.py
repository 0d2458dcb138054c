"""`linewitness export`: write an evidence package, or plain records."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from linewitness.base.errors import ConfigurationError
from linewitness.cli.sources import journal

if TYPE_CHECKING:
    from linewitness.evidence.format.raw import RawTelegram
    from linewitness.evidence.history.trace import ComponentQuery, ComponentTrace
    from linewitness.evidence.package.query import Holdings, RecordQuery
    from linewitness.evidence.package.raw_check import Members
    from linewitness.evidence.package.raws import Find
    from linewitness.journal.holdings import JournalHoldings

Source = Annotated[Path, typer.Argument(help="The line's YAML, or the journal's folder.", show_default=False)]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="File to write: a package (.zip) or records (.ndjson).")
]
Unit = Annotated[list[str] | None, typer.Option(help="Select records of this serialized unit; repeatable.")]
Batch = Annotated[list[str] | None, typer.Option(help="Select the units of this batch; repeatable.")]
Part = Annotated[
    str | None,
    typer.Option(help="Select the units that had this part, by --serial or --lot."),
]
Serial = Annotated[str | None, typer.Option(help="With --part: the component's serial number.")]
Lot = Annotated[str | None, typer.Option(help="With --part: the component's lot.")]
Since = Annotated[str | None, typer.Option("--from", help="Select events from this time on (UTC, RFC 3339).")]
Until = Annotated[str | None, typer.Option("--to", help="Select events before this time (UTC, RFC 3339).")]
Raw = Annotated[
    bool, typer.Option("--raw", help="Add what the devices themselves sent, where it is still here.")
]
Ndjson = Annotated[bool, typer.Option("--ndjson", help="Write records only: exact bytes, one record a line.")]
PolicyFile = Annotated[Path | None, typer.Option(help="Put the verdict under this policy into the report.")]

_EVERY = 1000
#: Units that are named when a component was asked for; the package has them all.
_NAMED = 1000
_PACKAGE = ".zip"


def export(
    source: Source,
    *,
    output: Output = None,
    unit: Unit = None,
    batch: Batch = None,
    part: Part = None,
    serial: Serial = None,
    lot: Lot = None,
    since: Since = None,
    until: Until = None,
    policy: PolicyFile = None,
    ndjson: Ndjson = False,
    raw: Raw = False,
) -> None:
    """Write evidence: a package with proofs, or NDJSON (the default without --output, receipts beside it).

    With --raw, what the devices sent is in the package, or beside NDJSON in NAME.raws, for `store export`.
    """
    from linewitness.journal.holdings import JournalHoldings

    query = query_of(unit, batch, components_of(part, serial, lot), since, until)
    if raw and output is None:
        raise ConfigurationError("--raw needs a file", hint="name one with --output: NAME.zip or NAME.ndjson")
    with journal(source) as reader:
        holdings = JournalHoldings(reader)
        warn_of_name(output, ndjson=ndjson)
        if output is not None and is_package(output, ndjson=ndjson):
            write_package(holdings, query, output, policy, raws=holdings.raw if raw else None)
            return
        notes = list(holdings.notes())
        newest = reader.newest_checkpoint()
        write_ndjson(holdings, query, output, [*notes, *([newest[1]] if newest else [])])
        if raw and output is not None:
            _write_raws(holdings, query, output)


def is_package(output: Path, *, ndjson: bool) -> bool:
    """Return whether a package is to be written, and not records alone."""
    from linewitness.evidence.package.open import NDJSON

    return not ndjson and output.suffix not in NDJSON


def warn_of_name(output: Path | None, *, ndjson: bool) -> None:
    """Warn if a file is called otherwise than what it will hold: whoever opens it expects something else."""
    from linewitness.evidence.package.open import NDJSON

    if output is None:
        return
    if is_package(output, ndjson=ndjson):
        if output.suffix.lower() != _PACKAGE:
            hint = f"name it {output.stem}.zip, or {output.stem}.ndjson for records alone"
            typer.echo(f"warning: {output} will be an evidence package, a zip file ({hint})", err=True)
    elif output.suffix.lower() == _PACKAGE:
        hint = f"name it {output.stem}{NDJSON[0]}, or leave --ndjson out for a package"
        typer.echo(f"warning: {output} will hold records alone and is no zip file ({hint})", err=True)


def components_of(part: str | None, serial: str | None, lot: str | None) -> "tuple[ComponentQuery, ...]":
    """Return which component the options ask for; ConfigurationError where they do not name one."""
    from linewitness.evidence.history.trace import ComponentQuery

    if part is None and serial is None and lot is None:
        return ()
    if part is None or (serial is None) == (lot is None):
        raise ConfigurationError(
            "a component is asked for by its part, and by its serial number or its lot",
            hint="--part NUMBER --serial NUMBER, or --part NUMBER --lot NUMBER",
        )
    return (ComponentQuery(part=part, serial=serial, lot=lot),)


def query_of(
    unit: list[str] | None,
    batch: list[str] | None,
    components: "tuple[ComponentQuery, ...]",
    since: str | None,
    until: str | None,
) -> "RecordQuery":
    """Return what the options ask for; ConfigurationError if a time is none."""
    from linewitness.evidence.package.query import RecordQuery

    return RecordQuery(
        units=tuple(unit or ()),
        batches=tuple(batch or ()),
        components=components,
        since=_time(since, "--from"),
        until=_time(until, "--to"),
    )


def write_package(
    holdings: "Holdings",
    query: "RecordQuery",
    output: Path,
    policy: Path | None,
    *,
    raws: "Find | None" = None,
    held: str | None = None,
) -> int:
    """Write an evidence package, and return how many records it has.

    A file is never overwritten, and an incomplete one removed.

    `held` is a receipt that the store made for it: how many records it holds now.
    """
    from linewitness.cli.packing import package_file, request_of
    from linewitness.cli.progress import counting

    brought: set[int] = set()

    def find(members: "Members") -> "RawTelegram | None":
        found = raws(members) if raws else None
        if found is not None:
            brought.add(found.sequence_no)
        return found

    request = request_of(holdings, query, [policy] if policy else [], raws=find if raws else None, held=held)
    with package_file(output) as file:
        count = request.write(file, stage=counting)
    sent = f", with what the devices sent for {len(brought)} of them" if raws else ""
    typer.echo(f"{count} records in {output}{sent}")
    return count


def say_trace(trace: "ComponentTrace") -> None:
    """Say on standard error which units have the component that was asked for, and which had it."""
    from linewitness.evidence.history.trace import words_of_trace

    if trace.queries:
        for line in words_of_trace(trace, most=_NAMED):
            typer.echo(line, err=True)


def write_ndjson(holdings: "Holdings", query: "RecordQuery", output: Path | None, notes: list[str]) -> None:
    """Write records only; write the receipts of a whole stream to NAME.receipts."""
    from linewitness.cli.progress import counting
    from linewitness.evidence.package.open import NOTE_END, RECEIPTS
    from linewitness.evidence.package.spool import RecordSpool

    with RecordSpool() as spool:
        if query.is_all:
            records, total = holdings.records(), holdings.size
        else:
            with counting("records looked at", holdings.size) as tick:
                say_trace(query.collect(holdings, spool, most=None, progress=tick))
            records, total = iter(spool), len(spool)
        if output is None:
            _print(records)
            return
        count = 0
        with counting("records exported", total) as tick, new_file(output) as file:
            for count, (_, data) in enumerate(records, 1):
                file.write(data + b"\n")
                if count % _EVERY == 0:
                    tick(count)
    if query.is_all:
        with new_file(output.with_suffix(RECEIPTS)) as file:
            file.write(NOTE_END.join(notes).encode())
    typer.echo(f"{count} records in {output}")


def _write_raws(holdings: "JournalHoldings", query: "RecordQuery", output: Path) -> None:
    """Write what the devices sent for these records to NAME.raws."""
    from linewitness.evidence.package.raws import RAW_SUFFIX, RawChoice
    from linewitness.evidence.package.spool import RecordSpool

    choice = RawChoice(find=holdings.raw, of_units=query.is_of_units)
    with RecordSpool() as spool, new_file(output.with_suffix(RAW_SUFFIX)) as file:
        query.collect(holdings, spool, most=None)
        count = 0
        for line in choice.lines(data for _, data in spool):
            count += 1
            file.write(line + b"\n")
    typer.echo(f"what the devices sent for {count} of them in {output.with_suffix(RAW_SUFFIX)}")


def _print(records: Iterator[tuple[int, bytes]]) -> None:
    from linewitness.cli.ending import write_output

    for _, data in records:
        write_output(data + b"\n")


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing, for its owner alone; ConfigurationError if it cannot be opened."""
    from linewitness.base.durable import open_private

    try:
        file = open_private(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", hint="name another file with --output"
        ) from None
    with file:
        yield file


def _time(text: str | None, option: str) -> str | None:
    from datetime import UTC, datetime

    from linewitness.base.clock import from_datetime, to_rfc3339

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{option} {text!r} is not a time", hint="it looks like 2026-03-01T08:00:00Z, or 2026-03-01"
        ) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return to_rfc3339(from_datetime(aware))
