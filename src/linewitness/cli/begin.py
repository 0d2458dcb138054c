"""`linewitness init`: create a line's stream, or the next generation of a stream that cannot continue."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from linewitness.config import Config

LineFile = Annotated[Path, typer.Argument(help="The line's YAML.", show_default=False)]


def init(
    file: LineFile,
    *,
    next_generation: Annotated[
        bool,
        typer.Option(
            "--continue",
            help="Begin the next generation of a frozen or damaged stream and keep the old journal.",
        ),
    ] = False,
    reason: Annotated[
        str, typer.Option(help="With --continue: why a usable stream ends, for example a stolen key.")
    ] = "",
) -> None:
    """Create a line's stream: generate its keys and write record 0. Run it once for each stream."""
    from linewitness.base.clock import SystemClock
    from linewitness.base.errors import JournalError
    from linewitness.config import load
    from linewitness.gateway.app import create_stream, identity_of
    from linewitness.journal.generations import replacement
    from linewitness.journal.generations.ended import HAND_OVER, rests_of
    from linewitness.journal.generations.generation import begin_next

    config = load(file)
    if next_generation:
        begun = begin_next(config.journal, identity_of(config), clock=SystemClock(), reason=reason)
        if begun.ended is not None:
            typer.echo(f"ended       {begun.ended}")
        if begun.aside is not None:
            typer.echo(f"kept in     {begun.aside}")
        typer.echo(f"because     {begun.why}")
        for rest in rests_of(config.journal.directory):
            if rest.is_waiting:
                typer.echo(f"to do       {rest.sentence}: {HAND_OVER}")
    elif replacement.is_unfinished(config.journal.directory):
        raise JournalError(
            "the creation of the next generation was interrupted",
            hint="finish it with `linewitness init --continue`",
        )
    else:
        create_stream(config)
    _show(config)


def _show(config: "Config") -> None:
    from linewitness.journal.reader import JournalReader

    with JournalReader(config.journal.directory) as reader:
        record_hash, log_vkey = reader.record_0_hash, reader.log_vkey
    line = config.line
    typer.echo(f"stream      {line.origin}")
    typer.echo(f"journal     {config.journal.directory}")
    typer.echo(f"log key     {log_vkey}")
    typer.echo(f"record 0    {record_hash}")
    typer.echo("")
    typer.echo("Keep these lines where neither this machine nor the audit store can change them:")
    typer.echo("auditors need them. Then enrol the gateway at the audit store:")
    typer.echo("")
    typer.echo(
        f"  linewitness store enroll STORE.yaml --tenant {line.tenant} --gateway {line.gateway} \\\n"
        f"    --log-vkey '{log_vkey}' --record0 {record_hash}"
    )
