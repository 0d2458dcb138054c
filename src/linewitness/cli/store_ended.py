"""`linewitness store take-over` and `store unit`: ended streams at the store, and all records of a unit."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from linewitness.base.errors import ConfigurationError
from linewitness.cli.device_history import echo_history, echo_stretches
from linewitness.cli.sources import StoreFile, TenantName, load_store, store_database
from linewitness.cli.store_questions import Format, Output, format_of, put

if TYPE_CHECKING:
    from linewitness.evidence.package.query import RecordQuery
    from linewitness.store.database.database import Database
    from linewitness.store.ended.reports import HandedOverRecord
    from linewitness.store.questions.answers import ViewAnswer
    from linewitness.store.questions.unit import UnitAccount

#: A statement may be written again; any other file stays.
_FIRST_LINE: Final = "linewitness/taken-over/v1\n"


def take_over(
    file: StoreFile,
    package: Annotated[
        Path, typer.Argument(help="The package of `linewitness handover`.", show_default=False)
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File for the store's statement; default: PACKAGE.note."),
    ] = None,
) -> None:
    """Take over the records of an ended stream, apart from the receipted one, and write a statement."""
    from linewitness.base.clock import SystemClock
    from linewitness.store.ended.takeover import take_over as take
    from linewitness.store.keys import Cosigner

    options = load_store(file)
    cosigner = Cosigner.load(options.name, options.key)
    target = output or package.with_name(package.name + ".note")
    if target.exists() and not target.read_text(encoding="utf-8").startswith(_FIRST_LINE):
        raise ConfigurationError(f"there is a {target} already", hint="name a new file with --output")
    with store_database(file) as database:
        result = take(database, package, cosigner=cosigner, clock=SystemClock())
    taken = result.taken
    target.write_text(result.note, encoding="utf-8")
    count = taken.size - taken.first
    if not count:
        typer.echo(f"nothing to take over: the stream {taken.origin} holds all {taken.size} records itself")
    else:
        kind = "a fork" if taken.fork else "the rest"
        word = "held already" if result.again else "taken over"
        records = "1 record" if count == 1 else f"{count} records"
        typer.echo(f"{word}: {records} of {kind} of {taken.origin}, from record {taken.first} on")
    typer.echo(f"statement in {target}: bring it to the gateway, and run there")
    typer.echo(f"  linewitness handover LINE.yaml --taken-over {target.name}")


def unit(
    file: StoreFile,
    serial: Annotated[str, typer.Argument(help="The serialized unit.", show_default=False)],
    *,
    components: Annotated[
        bool, typer.Option("--components", help="List what went into it, and into its components, instead.")
    ] = False,
    tenant: TenantName = None,
    as_format: Format = None,
    output: Output = None,
) -> None:
    """List a unit's records over all streams, with where each is held; then its checklist and components.

    Between its records stand the gaps and disturbances of its devices and stations.
    The checklist says each requirement and by which of these records it was met.
    """
    from linewitness.store.questions.unit import unit_history, went_into

    as_table = format_of(as_format, output) == "table" and output is None
    with store_database(file) as database:
        if components:
            put(went_into(database, serial, tenant=tenant), as_format, output)
            return
        history = unit_history(database, serial, tenant=tenant)
        if not as_table:
            put(history.answer, as_format, output)
            return
        _list(history, serial)
        deeper = went_into(database, serial, tenant=tenant)
    _tell_deeper(deeper)
    _tell_how_far(history)


def write_ended(
    database: "Database",
    write: Callable[[bytes], object],
    *,
    tenant: str | None,
    stream: str | None,
    query: "RecordQuery",
) -> None:
    """Write the records of ended streams that are asked for, one a line; they are in no other export."""
    for record in _chosen(database, tenant, stream, query):
        write(record.data + b"\n")


def remark_ended(
    database: "Database", *, tenant: str | None, stream: str | None, query: "RecordQuery"
) -> None:
    """Say on standard error that there are records of ended streams beside those that were exported."""
    from linewitness.store.ended.reports import read_handovers

    held = read_handovers(database, tenant=tenant)
    handovers = {each.number: each for each in held if stream in (None, each.origin)}
    counts = Counter({each.number: each.size - each.first for each in handovers.values()})
    if handovers and query.units and not query.searches:
        counts = Counter(record.handover.number for record in _chosen(database, tenant, stream, query))
    for number, count in counts.items():
        typer.echo(f"not exported: {count} records {handovers[number].mark}; see --ended", err=True)


def _chosen(
    database: "Database", tenant: str | None, stream: str | None, query: "RecordQuery"
) -> "Iterator[HandedOverRecord]":
    from linewitness.store.ended.reports import read_handed_over

    if query.batches or query.components:
        raise ConfigurationError(
            "--batch and --part are for receipted streams", hint="name the units instead"
        )
    for serial in query.units or (None,):
        for record in read_handed_over(database, tenant=tenant, origin=stream, unit=serial):
            since = query.since is None or query.since <= record.occurred_at
            if since and (query.until is None or record.occurred_at < query.until):
                yield record


def _list(history: "UnitAccount", serial: str) -> None:
    from linewitness.evidence.format.record import parse

    for record in history.records:
        members = parse(record.data)
        typer.echo(f"{record.occurred_at} {members['kind']} {members['resource']['id']}")
        typer.echo(f"  {record.mark}")
    for origin in dict.fromkeys(record.origin for record in history.records if record.in_stream):
        mine = (each for each in history.records if each.in_stream and each.origin == origin)
        echo_stretches((each.data for each in sorted(mine, key=lambda each: each.seq)), of=origin)
    echo_history(record.data for record in history.records)
    if not history.records:
        typer.echo(f"there are no records of the unit {serial}")


def _tell_deeper(parts: "ViewAnswer") -> None:
    """Print what the unit's own records do not say: loaded lots, and the components of its components."""
    rows = [dict(zip(parts.columns, row, strict=True)) for row in parts.rows]
    told = [row for row in rows if row["depth"] > 1 or row["how"] == "was loaded"]
    if told:
        typer.echo("")
        typer.echo("loaded lots, and components of its components")
    for row in told:
        name = ", ".join(f"{what} {row[what]}" for what in ("part", "serial", "lot") if row[what])
        where = f"record {row['record']} of {row['stream']}"
        typer.echo(f"  {row['unit']}: {name} {row['how']} ({row['occurred_at']}, {where})")


def _tell_how_far(history: "UnitAccount") -> None:
    from linewitness.store.questions.formats import how_far

    typer.echo("")
    for line in how_far(history.answer):
        typer.echo(line)
