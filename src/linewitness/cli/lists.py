"""`linewitness lists`: sign a list, and show which lists count on a line."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linewitness.base.errors import ConfigurationError

if TYPE_CHECKING:
    from linewitness.config import Config
    from linewitness.gateway.lists.kept import ListTaken
    from linewitness.stations.lists.book import ListName
    from linewitness.stations.lists.options import ListOptions

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Name of the key, for example customer.example/erp-lots.")],
    file: Annotated[Path, typer.Argument(help="New file for the private key.")],
) -> None:
    """Make the key with which the owner signs a list. Keep it where the list is written."""
    from linewitness.base.durable import create_file
    from linewitness.evidence.policy.customer import Customer

    made = Customer.new(name)
    try:
        create_file(file, str(made).encode(), mode=0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be written: {error.strerror}", hint="nothing is overwritten: name a new file"
        ) from None
    typer.echo(f"signed_by  {made.vkey}")


@app.command()
def sign(
    file: Annotated[Path, typer.Argument(help="The CSV of the list.", show_default=False)],
    *,
    key: Annotated[Path, typer.Option("--key", help="File of the owner's private key.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write; one that is there is replaced as a whole.")
    ],
) -> None:
    """Sign a list for `signed_by`. Says in its first line when it was issued, unless it does already."""
    from linewitness.base.clock import NS_PER_S, SystemClock, to_rfc3339
    from linewitness.config.lists.signing import signed_list
    from linewitness.evidence.command.verify import read_bytes
    from linewitness.evidence.policy.customer import Customer

    signer = Customer.parse(read_bytes(key, "key").decode("utf-8", "replace"))
    now_ns = SystemClock().stamp().realtime_ns // NS_PER_S * NS_PER_S
    note = signed_list(file, read_bytes(file, "list"), signer, issued=to_rfc3339(now_ns))
    part = output.with_name(f"{output.name}.part")
    try:
        part.write_bytes(note)
        part.replace(output)
    except OSError as error:
        raise ConfigurationError(f"{output} cannot be written: {error.strerror}") from None
    typer.echo(f"signed by {signer.name} ({signer.vkey.key_id}): {output}")


@app.command()
def show(file: Annotated[Path, typer.Argument(help="The line's YAML.", show_default=False)]) -> None:
    """Show each list of a line: what counts, how old it is, and how its file stands now.

    Exit code 2: a file is wrong or missing.
    """
    from linewitness.base.clock import SystemClock
    from linewitness.base.errors import ExitCode
    from linewitness.config import load

    config = load(file)
    if not config.lists.named:
        typer.echo(f"{file} names no lists")
        return
    now_ns, right = SystemClock().stamp().realtime_ns, True
    for name, options in config.lists.named.items():
        taken = _taken(config, name)
        typer.echo(f"{name:<15} {_counts(options, taken, now_ns)}")
        words, is_right = _file(name, options, taken, now_ns)
        typer.echo(f"{'':<15} {words}")
        right = right and is_right
    if not right:
        raise typer.Exit(ExitCode.CONFIGURATION)


def _taken(config: "Config", name: "ListName") -> "ListTaken | None":
    """Return what the journal says was taken over last."""
    from linewitness.gateway.lists.kept import STATE, ListTaken
    from linewitness.journal.reader import JournalReader

    with JournalReader(config.journal.directory) as reader:
        stored = reader.state_value(STATE + name)
    return ListTaken.load(stored) if stored else None


def _counts(options: "ListOptions", taken: "ListTaken | None", now_ns: int) -> str:
    from linewitness.base.clock import NS_PER_S, to_rfc3339
    from linewitness.status import views

    if taken is None:
        return "nothing was taken over yet"
    age_s = max(0, now_ns - taken.as_of_ns) // NS_PER_S
    since = "issued" if taken.issued_ns is not None else "written"
    text = f"{taken.entries:,} entries, {since} {to_rfc3339(taken.as_of_ns)}, {views.duration(age_s)} old"
    if options.max_age_h is not None:
        stale = age_s > options.max_age_h * 3600
        text += f", {'TOO OLD: it counts' if stale else 'counts'} for {options.max_age_h:g} h"
    signer = f", signed by {taken.signer}" if taken.signer else ""
    return f"{text}{signer}, {taken.digest}"


def _file(
    name: "ListName", options: "ListOptions", taken: "ListTaken | None", now_ns: int
) -> tuple[str, bool]:
    """Say how the file of a list stands, and whether it is right."""
    from linewitness.config.lists.examine import examine_file

    try:
        listing = examine_file(name, options, now_ns).listing
    except ConfigurationError as error:
        return f"file refused: {error}", False
    if taken is not None and listing.digest == taken.digest:
        return f"{options.file} is the same", True
    return f"{options.file} is another one, with {len(listing.entries):,} entries: not taken over yet", True
