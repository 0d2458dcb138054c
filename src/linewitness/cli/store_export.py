"""`linewitness store export`: evidence packages and records of what the store holds."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linewitness.base.errors import ConfigurationError
from linewitness.cli.export import (
    Batch,
    Lot,
    Ndjson,
    Part,
    Serial,
    Unit,
    components_of,
    is_package,
    query_of,
    warn_of_name,
    write_package,
)
from linewitness.cli.packing import package_file, request_of
from linewitness.cli.sources import StoreFile, TenantName, load_store
from linewitness.cli.store_ended import remark_ended, write_ended
from linewitness.cli.store_tenants import checkpoint_of, record_export, recorded, tenant_streams

if TYPE_CHECKING:
    from linewitness.evidence.package.query import RecordQuery
    from linewitness.store.keys import Cosigner
    from linewitness.store.tenant.streams import TenantStreams


def export(
    file: StoreFile,
    *,
    tenant: TenantName = None,
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
    policy: Annotated[
        list[Path] | None,
        typer.Option(help="Put the verdict under this policy into the report; repeatable, one a stream."),
    ] = None,
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
    What is asked for may lie in several streams: then, without --stream, the package has all of them.
    Without --output, records go to standard output, one record a line.
    """
    from linewitness.store.database.tenants import the_tenant
    from linewitness.store.reports import read_records

    query = query_of(unit, batch, components_of(part, serial, lot), since, until)
    if raw and (ended or output is None or not is_package(output, ndjson=ndjson)):
        raise ConfigurationError("--raw is for packages", hint="write one: -o evidence.zip")
    warn_of_name(output, ndjson=ndjson or ended)
    if ended:
        with (
            tenant_streams(file) as own,
            writing_to(output) as target,
            recorded(own, target, query, origin=stream) as write,
        ):
            write_ended(own.database, write, tenant=tenant, stream=stream, query=query)
        return
    if output is not None and is_package(output, ndjson=ndjson):
        if first or last is not None:
            raise ConfigurationError("--first and --last are for records alone", hint="add --ndjson")
        with tenant_streams(file) as own:
            name, signer = the_tenant(own.database, tenant), _cosigner(file)
            if stream is None and raw is None and not query.is_all:
                origin, count = None, _pack_streams(own, name, query, output, policy or [], cosigner=signer)
            else:
                place = (name, stream)
                origin, count = _pack_stream(
                    own, place, query, output, policy or [], cosigner=signer, raw=raw
                )
            record_export(
                own,
                name,
                query,
                form="package",
                origin=origin,
                records=count,
                digest=_digest_of(output),
            )
            remark_ended(own.database, tenant=name, stream=stream, query=query)
        return
    if batch or query.components or len(query.units) > 1:
        raise ConfigurationError(
            "records alone are of one unit at most", hint="write a package: -o evidence.zip"
        )
    with (
        tenant_streams(file) as own,
        writing_to(output) as target,
        recorded(own, target, query, origin=stream) as write,
    ):
        found = read_records(
            own.database,
            tenant=tenant,
            origin=stream,
            unit=query.units[0] if query.units else None,
            first=first,
            last=last,
            since=query.since,
            until=query.until,
        )
        for record in found:
            write(record.data + b"\n")
        remark_ended(own.database, tenant=tenant, stream=stream, query=query)


def _pack_stream(
    own: "TenantStreams",
    place: tuple[str | None, str | None],
    query: "RecordQuery",
    output: Path,
    policies: list[Path],
    *,
    cosigner: "Cosigner",
    raw: Path | None,
) -> tuple[str, int]:
    """Write the package of one stream, the only one where none is named; return which, and its records."""
    from linewitness.evidence.package.raws import RawFile
    from linewitness.store.holdings import StoreHoldings

    if len(policies) > 1:
        raise ConfigurationError("a package of one stream has one policy", hint="give --policy once")
    tenant, stream = place
    with StoreHoldings.open(own.database, stream, tenant=tenant) as holdings:
        held = holdings.held(cosigner, _now_s())
        if holdings.is_own:
            holdings.checkpoint = checkpoint_of(own, holdings)
        raws = RawFile(raw).find if raw else None
        count = write_package(holdings, query, output, next(iter(policies), None), raws=raws, held=held)
        return holdings.origin, count


def _pack_streams(
    own: "TenantStreams",
    tenant: str,
    query: "RecordQuery",
    output: Path,
    policies: list[Path],
    *,
    cosigner: "Cosigner",
) -> int:
    """Write the package of what was asked for, from all streams that have it; return of how many records."""
    from linewitness.cli.progress import counting
    from linewitness.evidence.package.several.pack import StreamsRequest
    from linewitness.store.holdings import StoreHoldings

    with StoreHoldings.open_all(own.database, tenant=tenant) as streams, package_file(output) as target:
        held = {each.origin: partial(each.held, cosigner, _now_s()) for each in streams}
        requests = [request_of(each, query, policies) for each in streams]
        count, found = StreamsRequest(requests, lambda origin: held[origin]()).write(target, stage=counting)
    among = f" of {found} streams" if found > 1 else ""
    typer.echo(f"{count} records{among} in {output}")
    return count


def _now_s() -> int:
    from linewitness.base.clock import NS_PER_S, SystemClock

    return SystemClock().stamp().realtime_ns // NS_PER_S


def _digest_of(output: Path) -> str:
    with output.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _cosigner(file: Path) -> "Cosigner":
    """Return the store's key, which signs in each package how many records are held as it is made."""
    from linewitness.store.keys import Cosigner

    options = load_store(file)
    return Cosigner.load(options.name, options.key)


@contextmanager
def writing_to(output: Path | None) -> Iterator[Callable[[bytes], object]]:
    """Yield what writes to a new file for its owner alone, or to standard output."""
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
