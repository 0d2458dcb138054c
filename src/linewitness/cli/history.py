"""`linewitness status` and `verify`: the state of a journal, and the verification of evidence."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from linewitness.base.errors import ConfigurationError, ExitCode
from linewitness.cli.sources import evidence, journal

Source = Annotated[Path, typer.Argument(help="The line's YAML, or the journal's folder.", show_default=False)]


def status(
    source: Source,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show the state of a line: records, receipts, free space, devices. Reads only the journal."""
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
        Path | None, typer.Option(help="The customer's policy; without it the verdict is never COMPLETE.")
    ] = None,
    customer: Annotated[
        str | None, typer.Option(help="The customer's vkey; the policy must be signed with it.")
    ] = None,
    revocation: Annotated[
        list[Path] | None, typer.Option(help="A revocation signed by the customer; repeatable.")
    ] = None,
    times: Annotated[
        bool,
        typer.Option("--times", help="Print for each record the time bounds that other parties prove."),
    ] = False,
    unit: Annotated[
        str | None, typer.Option(help="With --times: show only the records of this serialized unit.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Verify a package, exported records or a journal. Exit code 1 means BROKEN."""
    import orjson

    from linewitness.cli.policy import read
    from linewitness.cli.progress import counting
    from linewitness.cli.stamps import verified_stamps
    from linewitness.cli.times import Times

    if policy is None and (customer or revocation):
        raise ConfigurationError("--customer and --revocation need a policy", hint="give --policy as well")
    trusted = read(policy, customer=customer, revocations=revocation or ()) if policy else None
    told = Times(unit)
    with evidence(source) as found:
        with counting("records verified", found.total) as tick:
            verdict = found.judge(trusted, tick)
        if times and verdict.status != "BROKEN":
            stamps = verified_stamps(found.statements, trusted.tsa_roots if trusted else ())
            told.read(found.records(), found.statements, trusted, stamps)
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


def _limit(source: Path) -> int | None:
    from linewitness.config import load

    return int(load(source).journal.max_size) if source.suffix in (".yaml", ".yml") else None
