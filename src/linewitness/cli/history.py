"""`linewitness status`, `verify`, `export`: what a journal holds, whether it is whole, and a copy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from linewitness.cli.sources import evidence, journal
from linewitness.errors import ConfigurationError, ExitCode

if TYPE_CHECKING:
    from linewitness.evidence.policy import Policy

Source = Annotated[Path, typer.Argument(help="The line's YAML, or the journal's folder.", show_default=False)]


def status(
    source: Source,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Say how a line stands: records, receipts, room left, devices. Reads the journal only."""
    import orjson

    from linewitness.status.report import report

    with journal(source) as reader:
        found = report(reader, _limit(source))
    typer.echo(
        orjson.dumps(found.members(), option=orjson.OPT_INDENT_2).decode() if as_json else found.text()
    )


def verify(
    source: Annotated[
        Path,
        typer.Argument(
            help="A journal's folder, a line's YAML, or exported records (NDJSON).", show_default=False
        ),
    ],
    *,
    policy: Annotated[
        Path | None, typer.Option(help="The customer's policy; without it nothing is called complete.")
    ] = None,
    times: Annotated[
        bool,
        typer.Option("--times", help="Print between which times of other parties each record was written."),
    ] = False,
    unit: Annotated[
        str | None, typer.Option(help="With --times: only the records of one serialized unit.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Verify a stream from its exact bytes. Exit code 1 means BROKEN."""
    import os

    import orjson

    from linewitness.cli.progress import counting
    from linewitness.cli.stamps import verified_stamps
    from linewitness.cli.times import Times
    from linewitness.evidence.verify import verify as verify_stream

    trusted = _policy(policy)
    told = Times(unit)
    with evidence(source) as found:
        with counting("records verified", found.total) as tick:
            verdict = (
                found.kept(trusted)
                if found.kept
                else verify_stream(
                    found.records(),
                    policy=trusted,
                    statements=found.statements,
                    workers=os.cpu_count() or 1,
                    progress=tick,
                )
            )
        if times and not found.kept and verdict.status != "BROKEN":
            stamps = verified_stamps(found.attestations, trusted.tsa_roots if trusted else ())
            told.read(islice(found.records(), verdict.size), found.statements, trusted, stamps)
            verdict = replace(verdict, remarks=(*verdict.remarks, *told.remarks))
    if as_json:
        members = verdict.to_json() | ({"times": told.to_json()} if times else {})
        typer.echo(orjson.dumps(members, option=orjson.OPT_INDENT_2).decode())
    else:
        typer.echo(f"{verdict.origin}: {verdict.text}")
        for remark in verdict.remarks:
            where = "" if remark.index is None else f"record {remark.index}: "
            typer.echo(f"  note: {where}{remark.text}")
        if trusted is None:
            typer.echo("  note: no policy was given, so nobody's word but the gateway's was asked for")
        for line in told.lines():
            typer.echo(line)
    raise typer.Exit(ExitCode.BROKEN if verdict.status == "BROKEN" else ExitCode.OK)


def export(
    source: Source,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; default: stdout.")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="Only the records of one serialized unit.")] = None,
) -> None:
    """Write records as NDJSON, exact bytes, one a line; receipts go beside them, into NAME.receipts."""
    import sys

    from linewitness.cli.progress import counting

    with journal(source) as reader:
        if unit is None:
            records, total = reader.records(), reader.size()
        else:
            records, total = reader.of_unit(unit), None
        if output is None:
            for _, data in records:
                sys.stdout.buffer.write(data + b"\n")
            return
        with counting("records exported", total) as tick, _new_file(output) as file:
            count = 0
            for count, (_, data) in enumerate(records, 1):
                file.write(data + b"\n")
                tick(count)
        if unit is None:
            notes = [note for _, note in reader.receipts()]
            newest = reader.newest_checkpoint()
            notes += [newest[1]] if newest else []
            output.with_suffix(".receipts").write_text("\x1e".join(notes), encoding="utf-8")
    typer.echo(f"{count} records in {output}")


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("wb") as file:
            yield file
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", hint="name another file with --output"
        ) from None


def _limit(source: Path) -> int | None:
    from linewitness.config import load

    return int(load(source).journal.max_size) if source.suffix in (".yaml", ".yml") else None


def _policy(path: Path | None) -> "Policy | None":
    from linewitness.evidence.policy import Policy

    if path is None:
        return None
    try:
        return Policy.parse(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"the policy {path} cannot be read: {error.strerror}") from None
