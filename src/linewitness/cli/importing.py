"""`linewitness import`: turn the tags that another program exports into a table of points."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from linewitness.base.errors import ExitCode


def import_points(
    export: Annotated[
        Path, typer.Argument(help="Kepware's CSV, or Ignition's JSON or CSV.", show_default=False)
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the table to this new file instead of standard output."),
    ] = None,
    record: Annotated[
        Literal["telemetry", "change"], typer.Option(help="What becomes of each value.")
    ] = "telemetry",
) -> None:
    """Turn exported tags into a table for `points_from`; list the tags that do not map on standard error."""
    import csv
    import io

    from linewitness.base.errors import ConfigurationError
    from linewitness.config.foreign_tags import read_tags

    try:
        data = export.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{export}: {error.strerror}", hint="check the path") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    tags = read_tags(text, record)
    for line in (*tags.notes, *tags.left_out):
        typer.echo(f"{export}: {line}", err=True)
    if not tags.rows:
        raise ConfigurationError(f"{export}: no tag became a point", hint="no table was written")
    columns = list(dict.fromkeys(name for row in tags.rows for name in row))
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(tags.rows)
    if output is None:
        typer.echo(table.getvalue(), nl=False)
    else:
        try:
            with output.open("x", encoding="utf-8", newline="") as file:
                file.write(table.getvalue())
        except FileExistsError:
            raise ConfigurationError(
                f"{output} is there already", hint="nothing was overwritten: choose another name"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"{output}: {error.strerror}", hint="choose another folder") from None
    typer.echo(f"{export}: {len(tags.rows)} tags became points, {len(tags.left_out)} did not", err=True)
    if tags.left_out:
        raise typer.Exit(ExitCode.CONFIGURATION)
