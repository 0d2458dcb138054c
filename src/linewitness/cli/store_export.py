"""`linewitness store export`: evidence packages and records of what the store holds."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linewitness.base.errors import ConfigurationError
from linewitness.cli.export import (
    Batch,
    Lot,
    Ndjson,
    Part,
    PolicyFile,
    Serial,
    Unit,
    components_of,
    is_package,
    query_of,
    warn_of_name,
    write_package,
)
from linewitness.cli.sources import StoreFile, load_store
from linewitness.cli.store_ended import remark_ended, write_ended
from linewitness.cli.store_tenants import checkpoint_of, record_export, recorded, tenant_streams

if TYPE_CHECKING:
    from linewitness.store.keys import Cosigner


def export(
    file: StoreFile,
    *,
    stream: Annotated[str | None, typer.Option(help="Export only the stream with this origin.")] = None,
    unit: Unit = None,
    batch: Batch = None,
    part: Part = None,
    serial: Serial = None,
    lot: Lot = None,
    first: Annotated[int, typer.Option(min=0, help="First sequence_no.")] = 0,
    last: Annotated[int | None, typer.Option(min=0, help="Last sequence_no, inclusive.")] = None,
    since: Annotated[
        str | None, typer.Option("--from", "--since", help="Select events from this time on (UTC, RFC 3339).")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", "--until", help="Select events before this time (UTC, RFC 3339).")
    ] = None,
    policy: PolicyFile = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="New file: a package (.zip) or records (.ndjson).")
    ] = None,
    ndjson: Ndjson = False,
    raw: Annotated[
        Path | None,
        typer.Option(help="Add what the devices sent: NAME.raws, which the gateway's `export --raw` wrote."),
    ] = None,
    ended: Annotated[
        bool, typer.Option("--ended", help="Export only records of ended streams that were handed over.")
    ] = False,
) -> None:
    """Export evidence: a package with proofs, or records as they were received.

    A package says, signed with the store's key, how many records the store holds as it is made.
    Without --output, records go to standard output, one record a line.
    """
    from linewitness.base.clock import NS_PER_S, SystemClock
    from linewitness.evidence.package.raws import RawFile
    from linewitness.store.database.tenants import the_tenant
    from linewitness.store.holdings import StoreHoldings
    from linewitness.store.reports import read_records

    query = query_of(unit, batch, components_of(part, serial, lot), since, until)
    if raw and (ended or output is None or not is_package(output, ndjson=ndjson)):
        raise ConfigurationError("--raw is for packages", hint="write one: -o evidence.zip")
    warn_of_name(output, ndjson=ndjson or ended)
    if ended:
        with (
            tenant_streams(file) as own,
            _target(output) as target,
            recorded(own, target, query, origin=stream) as write,
        ):
            write_ended(own.database, write, stream=stream, query=query)
        return
    if output is not None and is_package(output, ndjson=ndjson):
        if first or last is not None:
            raise ConfigurationError("--first and --last are for records alone", hint="add --ndjson")
        with tenant_streams(file) as own:
            with StoreHoldings.open(own.database, stream) as holdings:
                held = holdings.held(_cosigner(file), SystemClock().stamp().realtime_ns // NS_PER_S)
                if holdings.is_own:
                    holdings.checkpoint = checkpoint_of(own, holdings)
                raws = RawFile(raw).find if raw else None
                count = write_package(holdings, query, output, policy, raws=raws, held=held)
            record_export(
                own,
                the_tenant(own.database, None),
                query,
                form="package",
                origin=holdings.origin,
                records=count,
                digest=_digest_of(output),
            )
            remark_ended(own.database, stream=stream, query=query)
        return
    if batch or query.components or len(query.units) > 1:
        raise ConfigurationError(
            "records alone are of one unit at most", hint="write a package: -o evidence.zip"
        )
    with (
        tenant_streams(file) as own,
        _target(output) as target,
        recorded(own, target, query, origin=stream) as write,
    ):
        found = read_records(
            own.database,
            origin=stream,
            unit=query.units[0] if query.units else None,
            first=first,
            last=last,
            since=query.since,
            until=query.until,
        )
        for record in found:
            write(record.data + b"\n")
        remark_ended(own.database, stream=stream, query=query)


def _digest_of(output: Path) -> str:
    with output.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _cosigner(file: Path) -> "Cosigner":
    """Return the store's key, which signs in each package how many records are held as it is made."""
    from linewitness.store.keys import Cosigner

    options = load_store(file)
    return Cosigner.load(options.name, options.key)


@contextmanager
def _target(output: Path | None) -> Iterator[Callable[[bytes], object]]:
    if output is None:
        from linewitness.cli.ending import write_output

        yield write_output
        return
    from linewitness.base.durable import open_private

    try:
        file = open_private(output, new=True)
    except OSError as error:
        raise ConfigurationError(
            f"{output} cannot be written: {error.strerror}", hint="name a new file in a folder that is there"
        ) from None
    with file:
        yield file.write
