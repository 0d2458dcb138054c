"""`linewitness store take-over` and `store unit`: ended streams at the store, and all records of a unit."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from linewitness.base.errors import ConfigurationError
from linewitness.cli.device_history import echo_history, echo_stretches
from linewitness.cli.sources import StoreFile, load_store, store_database

if TYPE_CHECKING:
    from linewitness.evidence.package.query import RecordQuery
    from linewitness.store.database.database import Database
    from linewitness.store.ended.reports import HandedOverRecord

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
) -> None:
    """List a unit's records over all streams, with where each is held; then its checklist and components.

    Between its records stand the gaps and disturbances of its devices and stations.
    The checklist says each requirement and by which of these records it was met.
    """
    with store_database(file) as database:
        _list(database, serial)


def write_ended(
    database: "Database", write: Callable[[bytes], object], *, stream: str | None, query: "RecordQuery"
) -> None:
    """Write the records of ended streams that are asked for, one a line; they are in no other export."""
    for record in _chosen(database, stream, query):
        write(record.data + b"\n")


def remark_ended(database: "Database", *, stream: str | None, query: "RecordQuery") -> None:
    """Say on standard error that there are records of ended streams beside those that were exported."""
    from linewitness.store.ended.reports import read_handovers

    handovers = {each.number: each for each in read_handovers(database) if stream in (None, each.origin)}
    counts = Counter({each.number: each.size - each.first for each in handovers.values()})
    if handovers and query.units and not query.searches:
        counts = Counter(record.handover.number for record in _chosen(database, stream, query))
    for number, count in counts.items():
        typer.echo(f"not exported: {count} records {handovers[number].mark}; see --ended", err=True)


def _chosen(database: "Database", stream: str | None, query: "RecordQuery") -> "Iterator[HandedOverRecord]":
    from linewitness.store.ended.reports import read_handed_over

    if query.batches or query.components:
        raise ConfigurationError(
            "--batch and --part are for receipted streams", hint="name the units instead"
        )
    for serial in query.units or (None,):
        for record in read_handed_over(database, origin=stream, unit=serial):
            since = query.since is None or query.since <= record.occurred_at
            if since and (query.until is None or record.occurred_at < query.until):
                yield record


def _list(database: "Database", serial: str) -> None:
    from linewitness.store.ended.reports import read_handed_over
    from linewitness.store.reports import read_records, read_streams

    receipted = {stream.origin: stream.receipt_size for stream in read_streams(database)}
    streams = {
        origin: _with_disturbances(database, origin, serial)
        for origin in dict.fromkeys(each.origin for each in read_records(database, unit=serial))
    }
    found = [
        (members["occurred_at"], members["kind"], data, _held(origin, at, receipted[origin]))
        for origin, records in streams.items()
        for at, members, data in records
    ]
    found += [
        (each.occurred_at, each.kind, each.data, f"record {each.seq} {each.handover.mark}; no receipt")
        for each in read_handed_over(database, unit=serial)
    ]
    for occurred_at, kind, data, held in sorted(found, key=lambda each: each[0]):
        typer.echo(f"{occurred_at} {kind} {_resource(data)}")
        typer.echo(f"  {held}")
    for origin, records in streams.items():
        echo_stretches((data for _, _, data in records), of=origin)
    echo_history(each[2] for each in sorted(found, key=lambda each: each[0]))
    if not found:
        typer.echo(f"there are no records of the unit {serial}")


def _with_disturbances(
    database: "Database", origin: str, serial: str
) -> list[tuple[int, dict[str, Any], bytes]]:
    """Return a unit's records in a stream, with what says when there was capture meanwhile."""
    from linewitness.evidence.format.record import parse
    from linewitness.evidence.package.query import RecordQuery
    from linewitness.evidence.package.spool import RecordSpool
    from linewitness.store.holdings import StoreHoldings

    with StoreHoldings.open(database, origin) as holdings, RecordSpool() as spool:
        RecordQuery(units=(serial,)).collect(holdings, spool, most=None)
        return [(at, parse(data), data) for at, data in spool]


def _held(origin: str, seq: int, receipted: int) -> str:
    return f"record {seq} of {origin}; {'with a receipt' if seq < receipted else 'no receipt yet'}"


def _resource(data: bytes) -> str:
    import orjson

    return str(orjson.loads(data)["resource"]["id"])
