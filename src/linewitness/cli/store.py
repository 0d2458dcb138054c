"""`linewitness store`: set up, run, inspect and export the reference audit store."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linewitness.base.errors import ConfigurationError, ExitCode
from linewitness.cli import store_questions
from linewitness.cli.sources import StoreFile, TenantName, load_store, store_database
from linewitness.cli.store_ended import take_over, unit
from linewitness.cli.store_export import export
from linewitness.cli.store_migrate import migrate
from linewitness.cli.store_notices import notices
from linewitness.cli.store_tenants import continue_stream, record_check, retention, retire, tenant_streams

if TYPE_CHECKING:
    from linewitness.evidence.format.note import Vkey

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def needs() -> None:
    """Operate the reference audit store."""
    if find_spec("sqlalchemy") is None:
        raise ConfigurationError(
            "the audit store needs SQLAlchemy", hint="install it with pip install 'linewitness[store]'"
        )


@app.command()
def init(
    file: StoreFile,
    *,
    admin_url: Annotated[
        str | None,
        typer.Option(help="URL of the PostgreSQL database for an administrator, who may create roles."),
    ] = None,
    print_sql: Annotated[
        bool, typer.Option("--print-sql", help="Print the SQL for an administrator, and do nothing.")
    ] = False,
) -> None:
    """Create the store's key and database. Run it once for each store.

    In PostgreSQL it makes the roles, tables, rights and policies, or brings them to this version.
    """
    from linewitness.cli.store_database import make_database, print_script
    from linewitness.store.keys import Cosigner, create_key

    if print_sql:
        print_script()
        return
    options = load_store(file)
    if options.key.file is not None and not options.key.file.exists():
        cosigner = create_key(options.name, options.key.file)
    else:
        cosigner = Cosigner.load(options.name, options.key)
    make_database(options, admin_url)
    typer.echo(f"store key   {cosigner.vkey}")
    typer.echo("")
    typer.echo("Gateways and auditors need the store key; then make each gateway known with")
    typer.echo(f"  linewitness store enroll {file} --tenant … --gateway … --log-vkey … --record0 …")


@app.command()
def run(
    file: StoreFile,
    *,
    log_level: Annotated[str, typer.Option(help="Log level: debug, info, warning or error.")] = "info",
    log_format: Annotated[str, typer.Option(help="Log format: auto, console or json.")] = "auto",
    worker: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Receive, verify and receipt records until SIGTERM or SIGINT."""
    from linewitness.base.secrets import keep_memory_private
    from linewitness.cli.logs import set_up
    from linewitness.cli.store_run import serve, supervise

    keep_memory_private()
    options = load_store(file)
    log = set_up(log_level, log_format)
    if options.workers > 1 and worker is None:
        arguments = (str(file), "--log-level", log_level, "--log-format", log_format)
        supervise(options, arguments, log)
    else:
        serve(options, worker, log)


@app.command()
def enroll(
    file: StoreFile,
    *,
    tenant: Annotated[str, typer.Option(help="The line's tenant.")],
    gateway: Annotated[str, typer.Option(help="The gateway's name in the MQTT topics.")],
    log_vkey: Annotated[str, typer.Option(help="The stream's log key, as `linewitness init` printed it.")],
    record0: Annotated[str, typer.Option(help="The hash of record 0, as `linewitness init` printed it.")],
) -> None:
    """Allow a gateway to write a stream. Each generation of a line is enrolled separately."""
    from linewitness.store.database.enrolments import EnrolmentRequest
    from linewitness.store.tenant.deeds import enroll_stream

    asked = EnrolmentRequest.checked(tenant, gateway, log_vkey, record0)
    with tenant_streams(file) as streams:
        enrolment = enroll_stream(streams, asked)
    typer.echo(f"enrolled {enrolment.origin} of the gateway {gateway} of {tenant}")


@app.command()
def witness(
    file: StoreFile,
    *,
    name: Annotated[str, typer.Option(help="Name of the witness's key; different from the store's.")],
    key: Annotated[Path, typer.Option(help="File of the witness's key; created if it does not exist.")],
    state: Annotated[Path, typer.Option(help="File that stores the newest checkpoint of each stream.")],
    listen: Annotated[str, typer.Option(help="Address and port for HTTP.")] = "127.0.0.1:8461",
) -> None:
    """Run a C2SP witness for the enrolled streams: cosign checkpoints that extend earlier ones."""
    import asyncio

    from linewitness.base.clock import SystemClock
    from linewitness.base.secrets import Secret
    from linewitness.store.database.enrolments import find
    from linewitness.store.database.tenants import tenants_of
    from linewitness.store.keys import Cosigner, create_key
    from linewitness.store.witness import Witness
    from linewitness.store.witness_http import serve

    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigurationError(f"{listen!r} is no address", hint="it looks like 127.0.0.1:8461")
    if name == load_store(file).name:
        raise ConfigurationError(
            f"{name} is the store itself: with its key a cosignature means that it holds all records",
            hint="give the witness a name and a key of its own",
        )
    cosigner = Cosigner.load(name, Secret(file=key)) if key.exists() else create_key(name, key)
    with store_database(file) as database:

        def log_key_of(origin: str) -> "Vkey | None":
            found = set()
            for tenant in tenants_of(database):
                with database.reading(tenant) as connection:
                    if enrolment := find(connection, tenant, origin):
                        found.add(enrolment.log_vkey)
            # A log is known by its name: of two that share one, a witness can serve neither.
            return found.pop() if len(found) == 1 else None

        typer.echo(f"witness key {cosigner.vkey}")
        served = Witness(state, cosigner, log_key_of=log_key_of, clock=SystemClock())
        try:
            asyncio.run(serve(served, host=host.strip("[]"), port=int(port)))
        finally:
            served.close()


@app.command()
def status(
    file: StoreFile,
    *,
    tenant: TenantName = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print sizes, roots and newest receipts of the streams as JSON.")
    ] = False,
) -> None:
    """Show the records, receipts and refusals of each stream."""
    import json
    from dataclasses import asdict

    from linewitness.store.reports import read_streams
    from linewitness.store.status import status_lines

    with store_database(file) as database:
        if as_json:
            streams = [asdict(stream) for stream in read_streams(database, tenant=tenant)]
            typer.echo(json.dumps(streams, ensure_ascii=False, indent=2))
            return
        for line in status_lines(database, tenant):
            typer.echo(line)


@app.command()
def check(file: StoreFile) -> None:
    """Check the database: compare all records with trees and receipts. Exit code 1 means damage.

    The running store makes the same check once a day. Run this command on a restored backup.
    """
    import asyncio

    from linewitness.store.inspection import inspect
    from linewitness.store.keys import Cosigner
    from linewitness.store.reports import read_streams
    from linewitness.store.tenant.inspected import InspectedStreams

    options, found = load_store(file), InspectedStreams()
    store_key = Cosigner.load(options.name, options.key).vkey
    with tenant_streams(file) as own:
        damage = asyncio.run(inspect(own.database, store_key=store_key, streams=found))
        streams = read_streams(own.database)
        record_check(own, found)
    for each in damage:
        typer.echo(each)
    if damage:
        raise typer.Exit(ExitCode.BROKEN)
    typer.echo(f"sound: records {sum(stream.size for stream in streams)}, streams {len(streams)}")


app.command()(export)
app.command()(migrate)
app.command()(notices)
app.command(name="take-over")(take_over)
app.command()(unit)
app.command(name="where-used")(store_questions.where_used)
app.command()(store_questions.changes)
app.command()(store_questions.tool)
app.command()(store_questions.gaps)
app.command()(store_questions.late)
app.command()(store_questions.sessions)
app.command()(store_questions.rebuild)
app.command()(retire)
app.command()(retention)
app.command(name="continue")(continue_stream)


@app.command()
def receipts(
    file: StoreFile,
    stream: Annotated[str, typer.Argument(help="The stream's origin.")],
    *,
    tenant: TenantName = None,
) -> None:
    """Print a stream's receipts, oldest first."""
    from linewitness.store.reports import read_receipts

    with store_database(file) as database:
        for note in read_receipts(database, stream, tenant=tenant):
            typer.echo(note)


@app.command()
def conflicts(file: StoreFile, *, tenant: TenantName = None) -> None:
    """Show signed statements of gateways that contradict the store. Exit code 1 if there are any."""
    from linewitness.store.reports import read_conflicts

    with store_database(file) as database:
        found = read_conflicts(database, tenant=tenant)
    for conflict in found:
        typer.echo(f"{conflict.seen_at} {conflict.origin}: {conflict.reason}")
        typer.echo(f"  {conflict.data.decode(errors='replace').rstrip()}")
    if found:
        raise typer.Exit(ExitCode.BROKEN)
    typer.echo("no conflicts")
