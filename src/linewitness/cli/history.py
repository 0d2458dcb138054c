"""`linewitness status` and `verify`: the state of a journal, and the verification of evidence."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linewitness.cli.sources import evidence, journal

if TYPE_CHECKING:
    from linewitness.journal.options import JournalOptions

Source = Annotated[Path, typer.Argument(help="The line's YAML, or the journal's folder.", show_default=False)]


def status(
    source: Source,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show the state of a line: records, receipts, free space, devices, uplink, problems.

    Reads the journal, and what a running gateway has written beside it.

    Exit code 0: running. 1: frozen. 4: full. 3: stopped. Of several, the first in this order.
    """
    import orjson

    from linewitness.status.report import report

    with journal(source) as reader:
        found = report(reader, _options(source))
    typer.echo(
        orjson.dumps(found.members(), option=orjson.OPT_INDENT_2).decode() if as_json else found.text()
    )
    raise typer.Exit(found.exit_code)


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
        list[Path] | None,
        typer.Option(help="The customer's policy; without it never COMPLETE. Repeat it for each stream."),
    ] = None,
    customer: Annotated[
        str | None, typer.Option(help="The customer's vkey; the policy must be signed with it.")
    ] = None,
    revocation: Annotated[
        list[Path] | None, typer.Option(help="A revocation signed by the customer; repeatable.")
    ] = None,
    at_least: Annotated[
        int | None, typer.Option(min=0, help="Number of records that must be attested, or it is OUTDATED.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Time (UTC, RFC 3339) of the oldest attestation that will do.")
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
    """Verify a package, exported records or a journal.

    Exit code 1 means BROKEN, 5 that it is none, 6 that it is OUTDATED: sound, and less than was asked for.
    """
    import os

    from linewitness.anchors.signatures import verifies
    from linewitness.base.clock import NS_PER_S, SystemClock
    from linewitness.cli.progress import counting
    from linewitness.evidence.command.demands import Demands, unix_time
    from linewitness.evidence.command.verify import VerifyRequest

    request = VerifyRequest(
        demands=Demands(
            now_s=SystemClock().stamp().realtime_ns // NS_PER_S,
            at_least=at_least,
            as_of_s=None if as_of is None else unix_time(as_of),
        ),
        policies=tuple(policy or ()),
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


def _options(source: Path) -> "JournalOptions | None":
    from linewitness.config import load

    return load(source).journal if source.suffix in (".yaml", ".yml") else None
