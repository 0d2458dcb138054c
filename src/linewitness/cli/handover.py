"""`linewitness handover`: give the audit store the records of an ended stream that it does not have."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linewitness.base.errors import ConfigurationError

if TYPE_CHECKING:
    from linewitness.journal.generations.ended import EndedRest


def handover(
    file: Annotated[Path, typer.Argument(help="The line's YAML.", show_default=False)],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="New package (.zip) for `linewitness store take-over`."),
    ] = None,
    taken_over: Annotated[
        Path | None,
        typer.Option(help="The statement that `linewitness store take-over` wrote: nothing is left to do."),
    ] = None,
    stream: Annotated[
        str | None, typer.Option(help="The ended stream, where there are several of this line.")
    ] = None,
) -> None:
    """Hand an ended stream over to the store. Without options, show what the store does not have."""
    from linewitness.config import load
    from linewitness.journal.generations.ended import rests_of

    config = load(file)
    rests = [each for each in rests_of(config.journal.directory) if each.is_waiting]
    if taken_over is not None:
        if config.store is None:
            raise ConfigurationError(f"{file} names no audit store", hint="name its key in `store.vkey`")
        _note(rests, taken_over, config.store.vkey)
    elif output is not None:
        _write(_chosen(rests, stream), output)
    else:
        for rest in rests:
            typer.echo(rest.sentence)
        if not rests:
            typer.echo("no ended generation of this line holds records that the store does not have")


def _chosen(rests: "list[EndedRest]", stream: str | None) -> "EndedRest":
    found = [each for each in rests if stream in (None, each.stream)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(each.stream for each in found)
        raise ConfigurationError("there are several ended streams to hand over", hint=f"--stream: {listed}")
    raise ConfigurationError(
        f"there is nothing to hand over{f' of {stream}' if stream else ''}",
        hint="`linewitness status` names the ended streams that hold records without a receipt",
    )


def _write(rest: "EndedRest", output: Path) -> None:
    from linewitness.base.clock import SystemClock
    from linewitness.cli.export import new_file
    from linewitness.journal.generations.ended import hand_over

    if output.exists():
        raise ConfigurationError(f"there is a {output} already", hint="name a new file with --output")
    part = output.with_name(output.name + ".part")
    try:
        with new_file(part) as target:
            count = hand_over(rest.folder, target, clock=SystemClock())
        part.rename(output)
    finally:
        part.unlink(missing_ok=True)
    typer.echo(f"{count} records of {rest.stream} in {output}")
    typer.echo("Take it to the audit store by hand, and bring back the statement that this writes:")
    typer.echo(f"  linewitness store take-over STORE.yaml {output.name}")


def _note(rests: "list[EndedRest]", statement: Path, vkey: str) -> None:
    from linewitness.evidence.command.verify import read_bytes
    from linewitness.evidence.format.ended import open_taken
    from linewitness.evidence.format.note import Vkey
    from linewitness.journal.generations.ended import note_taken_over

    text = read_bytes(statement, "statement").decode("utf-8", "replace")
    store = Vkey.parse(vkey)
    taken, _ = open_taken(text, store)
    for rest in rests:
        if rest.stream == taken.origin:
            note_taken_over(rest.folder, text, store)
            typer.echo(f"{store.name} holds the records {taken.first} to {taken.size - 1} of {taken.origin}")
            return
    raise ConfigurationError(
        f"no ended generation of {taken.origin} waits for a statement",
        hint="`linewitness status` names those that do",
    )
