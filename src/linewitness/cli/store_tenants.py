"""`linewitness store retire`, `retention`, `continue`: deeds that are records in a tenant's own stream."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linewitness.base.errors import ConfigurationError, LinewitnessError
from linewitness.cli.sources import StoreFile, TenantName, load_store, store_database

if TYPE_CHECKING:
    from linewitness.evidence.format.record import Change
    from linewitness.evidence.package.query import RecordQuery
    from linewitness.store.holdings import StoreHoldings
    from linewitness.store.tenant.inspected import InspectedStreams
    from linewitness.store.tenant.streams import TenantStreams

Reason = Annotated[str, typer.Option(help="Why: it is put on record.")]


@contextmanager
def tenant_streams(file: Path) -> "Iterator[TenantStreams]":
    """Open the database of a store's YAML, with the streams that the store writes itself."""
    from linewitness.base.clock import SystemClock
    from linewitness.store.tenant.streams import streams_of

    with store_database(file) as database:
        yield streams_of(load_store(file), database, SystemClock())


def retire(
    file: StoreFile,
    *,
    stream: Annotated[str, typer.Option(help="The stream's origin.")],
    reason: Reason,
    tenant: TenantName = None,
) -> None:
    """End a stream: what is held stays, and no further record of it is accepted."""
    from linewitness.store.tenant.deeds import retire_stream

    with tenant_streams(file) as streams:
        size = retire_stream(streams, tenant, stream, reason)
    typer.echo(f"retired {stream} after {size} records")


def retention(
    file: StoreFile,
    *,
    tenant: Annotated[str, typer.Option(help="The tenant whose records are kept.")],
    days: Annotated[int | None, typer.Option(min=1, help="For how many days records are kept.")] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Keep them without an end.")] = False,
    reason: Reason,
) -> None:
    """State for how many days a tenant's records are kept. So far this is only recorded and shown."""
    from linewitness.store.tenant.deeds import change_retention

    if (days is None) != forever:
        raise ConfigurationError("say how long: --days N, or --forever", hint="nothing was changed")
    with tenant_streams(file) as streams:
        before = change_retention(streams, tenant, days, reason)
    typer.echo(f"kept {words_of(days)}, before {words_of(before)}")


def continue_stream(file: StoreFile, *, reason: Reason, tenant: TenantName = None) -> None:
    """Begin the next generation of a tenant's own stream: its keys are lost, or the database was restored."""
    from linewitness.store.tenant.deeds import continue_stream as begin_again

    with tenant_streams(file) as streams:
        begun = begin_again(streams, tenant, reason)
    typer.echo(f"begun {begun.origin}")
    typer.echo(f"log key   {begun.log_vkey}")
    typer.echo(f"record 0  {begun.record0_hash}")


def words_of(days: int | None) -> str:
    """Return for how long records are kept."""
    return "without an end" if days is None else f"{days} days"


def record_check(streams: "TenantStreams", found: "InspectedStreams") -> None:
    """Put a check on record, unless this is a copy of the database: nothing may be written there."""
    from linewitness.store.tenant.deeds import person, say_checked

    own = [one for one in found.found if not streams.is_elsewhere(one.tenant)]
    why = "this is a copy of the database that the store writes"
    try:
        say_checked(streams, own, by=person(), reason="asked for with `linewitness store check`")
    except LinewitnessError as error:
        own, why = [], error.what
    if len(own) < len(found.found):
        typer.echo(f"warning: this check is not on record: {why}", err=True)


def checkpoint_of(streams: "TenantStreams", holdings: "StoreHoldings") -> str | None:
    """Return a checkpoint over all records of a tenant's own stream; warn where its key is not here."""
    from linewitness.evidence.format.merkle import root_at

    try:
        root = root_at(holdings.size, holdings.subtree)
        return streams.checkpoint(holdings.origin, holdings.size, root)
    except ConfigurationError as error:
        typer.echo(f"warning: the package has no checkpoint: {error.what}", err=True)
        return None


@dataclass(slots=True)
class ExportCount:
    """Count what leaves the house, by tenant, as it is written."""

    write: Callable[[bytes], object]
    records: Counter[str] = field(default_factory=Counter)
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def take(self, line: bytes) -> None:
        """Write a record with its line feed."""
        self.write(line)
        self.records[json.loads(line)["tenant_id"]] += 1
        self.digest.update(line)


@contextmanager
def recorded(
    streams: "TenantStreams", write: Callable[[bytes], object], about: "RecordQuery", *, origin: str | None
) -> Iterator[Callable[[bytes], None]]:
    """Put on record which records a block writes, also where it does not come to its end."""
    count = ExportCount(write)
    try:
        yield count.take
    finally:
        # A digest is that of the whole: of several tenants in one file, nobody has it.
        digest = f"sha256:{count.digest.hexdigest()}" if len(count.records) == 1 else None
        for tenant, records in count.records.items():
            record_export(
                streams, tenant, about, form="records", origin=origin, records=records, digest=digest
            )


def record_export(
    streams: "TenantStreams",
    tenant: str,
    about: "RecordQuery",
    *,
    form: str,
    origin: str | None,
    records: int,
    digest: str | None,
) -> None:
    """Put on record what left the house; from a copy of the database, which is not written, only warn."""
    from linewitness.store.tenant.deeds import ExportDeed, say_exported

    deed = ExportDeed(
        tenant=tenant, origin=origin, form=form, records=records, digest=digest, asked=tuple(_asked(about))
    )
    why = "this is a copy of the database that the store writes"
    try:
        if not streams.is_elsewhere(tenant):
            say_exported(streams, deed, "asked for with `linewitness store export`")
            return
    except LinewitnessError as error:
        why = error.what
    typer.echo(f"warning: this export is not on record: {why}", err=True)


def _asked(query: "RecordQuery") -> "Iterator[Change]":
    """Yield what an export was asked for."""
    from linewitness.evidence.format.record import Change

    named = {
        "units": "; ".join(query.units),
        "batches": "; ".join(query.batches),
        "components": "; ".join(map(str, query.components)),
        "from": query.since,
        "to": query.until,
    }
    for field_name, text in named.items():
        if text:
            yield Change(field_name, None, text)
