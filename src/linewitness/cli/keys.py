"""`linewitness keys`: show and rotate the keys of a stream; make an OPC UA certificate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from linewitness.config import Config
    from linewitness.evidence.format.note import Vkey

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

LineFile = Annotated[Path, typer.Argument(help="The line's YAML.", show_default=False)]


@app.command()
def show(
    file: LineFile,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show a stream's public keys: the log key, and each event key with its records."""
    import orjson

    from linewitness.config import load
    from linewitness.journal.reader import JournalReader

    with JournalReader(load(file).journal.directory) as reader:
        stream, log_vkey, size = reader.identity.stream, reader.log_vkey, reader.size()
        events = reader.event_keys()
    lasts: list[int | None] = [first - 1 for first, _ in events[1:]]
    ranges = [(first, last, vkey) for (first, vkey), last in zip(events, [*lasts, None], strict=True)]
    if as_json:
        event_keys = [{"first": first, "last": last, "vkey": str(vkey)} for first, last, vkey in ranges]
        members = {"stream": stream, "size": size, "log_key": str(log_vkey), "event_keys": event_keys}
        typer.echo(orjson.dumps(members, option=orjson.OPT_INDENT_2).decode())
        return
    typer.echo(f"stream     {stream}, {size} records")
    typer.echo(f"log key    {log_vkey.key_id}  {log_vkey}")
    for first, last, vkey in ranges:
        until = "on" if last is None else f"to {last}"
        typer.echo(f"event key  {vkey.key_id}  {vkey}  from record {first} {until}")


@app.command(name="export-vkey")
def export_vkey(file: LineFile) -> None:
    """Print the log key's vkey, for enrolment and for policies."""
    from linewitness.config import load
    from linewitness.journal.reader import JournalReader

    with JournalReader(load(file).journal.directory) as reader:
        typer.echo(str(reader.log_vkey))


@app.command()
def rotate(
    file: LineFile,
    *,
    wait_s: Annotated[float, typer.Option(min=0, help="Seconds to wait for a running gateway.")] = 15.0,
) -> None:
    """Replace the event key now and erase the old one, with or without a running gateway."""
    from linewitness.config import load

    config = load(file)
    before = _active(config)
    first, now = _rotated_here(config) or _rotated_there(config, before, wait_s)
    typer.echo(f"{before.key_id} is retired; {now.key_id} signs from record {first} on")


@app.command()
def opcua(
    *,
    certificate: Annotated[Path, typer.Option(help="New file for the certificate (DER).")],
    key: Annotated[Path, typer.Option(help="New file for the private key (PEM).")],
    uri: Annotated[
        str | None, typer.Option(help="Application URI; default: derived from the host name.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Host name of this machine; default: the system's.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="Validity in days.")] = 1825,
) -> None:
    """Make the gateway's client certificate for OPC UA servers."""
    import socket

    from linewitness.base.clock import SystemClock
    from linewitness.devices.opcua.connection.certificates import describe, make_client_certificate

    name = host or socket.gethostname()
    made = make_client_certificate(
        certificate=certificate,
        key=key,
        application_uri=uri or f"urn:{name}:linewitness",
        host=name,
        clock=SystemClock(),
        days=days,
    )
    typer.echo(f"certificate  {certificate}")
    typer.echo(f"key          {key}")
    typer.echo(f"             {describe(made)}")
    typer.echo("Put the certificate into the server's trust list, then name both files in the device's YAML.")


def _active(config: "Config") -> "Vkey":
    from linewitness.journal.reader import JournalReader

    with JournalReader(config.journal.directory) as reader:
        return reader.event_keys()[-1][1]


def _rotated_here(config: "Config") -> "tuple[int, Vkey] | None":
    """Rotate the key if no gateway runs; return None if one does."""
    from linewitness.base.clock import SharedClockState, SystemClock
    from linewitness.journal import database
    from linewitness.journal.file import JournalFile
    from linewitness.journal.keyring import keyring_of
    from linewitness.journal.reader import JournalReader
    from linewitness.journal.submission import Submission

    directory = config.journal.directory
    try:
        lock = database.Lock(directory)
    except database.JournalBusy:
        return None
    with lock:
        journal = JournalFile.open(
            directory, clock=SystemClock(), clock_state=SharedClockState(), keyring=keyring_of(config.journal)
        )
        try:
            journal.append([Submission(rotate=True)])
        finally:
            journal.close()
    with JournalReader(directory) as reader:
        return reader.event_keys()[-1]


def _rotated_there(config: "Config", before: "Vkey", wait_s: float) -> "tuple[int, Vkey]":
    """Ask the running gateway to rotate the key, and wait until it has."""
    from linewitness.base.errors import JournalError
    from linewitness.cli.waiting import awaited
    from linewitness.journal.reader import JournalReader
    from linewitness.journal.requests import ROTATE, Requests

    requests = Requests(config.journal.directory)
    requests.place(ROTATE)
    with JournalReader(config.journal.directory) as reader:

        def rotated() -> "tuple[int, Vkey] | None":
            newest = reader.event_keys()[-1]
            return None if requests.waiting(ROTATE) or newest[1] == before else newest

        if (newest := awaited(rotated, wait_s)) is None:
            raise JournalError(
                "the running gateway has not rotated its key yet",
                hint="the request is kept: it is executed as soon as the journal has space again",
            )
        return newest
