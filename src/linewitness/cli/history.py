"""`linewitness status` and `verify`: what a journal holds, and whether evidence is whole."""

from pathlib import Path
from typing import Annotated

import typer

from linewitness.cli.sources import evidence, journal

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
            help="A package (.zip), exported records (NDJSON), a line's YAML or a journal's folder.",
            show_default=False,
        ),
    ],
    *,
    policy: Annotated[
        Path | None, typer.Option(help="The customer's policy; without it nothing is called complete.")
    ] = None,
    customer: Annotated[
        str | None, typer.Option(help="The customer's vkey, which must have signed the policy.")
    ] = None,
    revocation: Annotated[
        list[Path] | None, typer.Option(help="A revocation that the customer signed; may be repeated.")
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

    from linewitness.anchors.signatures import verifies
    from linewitness.cli.progress import counting
    from linewitness.evidence.command.verify import VerifyRequest

    request = VerifyRequest(
        policy=policy,
        customer=customer,
        revocations=tuple(revocation or ()),
        times=times,
        unit=unit,
        as_json=as_json,
        verifies=verifies,
        workers=os.cpu_count() or 1,
    )
    lines, code = request.run(evidence(source), stage=counting)
    for line in lines:
        typer.echo(line)
    raise typer.Exit(code)


def _limit(source: Path) -> int | None:
    from linewitness.config import load

    return int(load(source).journal.max_size) if source.suffix in (".yaml", ".yml") else None
