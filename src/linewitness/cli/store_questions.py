"""`linewitness store where-used`, `changes`, `tool`, `gaps`, `late`, `sessions`: questions to the views."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linewitness.base.errors import ConfigurationError
from linewitness.cli.sources import StoreFile, TenantName, store_database

if TYPE_CHECKING:
    from linewitness.store.questions.answers import AskedSpan, ViewAnswer
    from linewitness.store.questions.formats import AnswerFormat

Format = Annotated[
    str | None,
    typer.Option("--format", help="table, csv, json or parquet; default: by the name of --output."),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="New file for the answer.", show_default=False)
]
Since = Annotated[
    str | None, typer.Option("--from", "--since", help="From this day or time on (UTC).", show_default=False)
]
Until = Annotated[
    str | None, typer.Option("--to", "--until", help="Before this day or time (UTC).", show_default=False)
]
Device = Annotated[str | None, typer.Option(help="Only of this device.", show_default=False)]


def where_used(
    file: StoreFile,
    *,
    lot: Annotated[str | None, typer.Option(help="A lot of material.", show_default=False)] = None,
    serial: Annotated[
        str | None, typer.Option(help="A component's serial number.", show_default=False)
    ] = None,
    material: Annotated[str | None, typer.Option(help="A part number.", show_default=False)] = None,
    tool: Annotated[
        str | None, typer.Option(help="A tool's serial number, or a device.", show_default=False)
    ] = None,
    program: Annotated[
        str | None, typer.Option(help="A parameter set or program.", show_default=False)
    ] = None,
    operator: Annotated[str | None, typer.Option(help="A person's id.", show_default=False)] = None,
    since: Since = None,
    until: Until = None,
    tenant: TenantName = None,
    as_format: Format = None,
    output: Output = None,
) -> None:
    """List the units that had to do with a lot, part, tool, program or person, over all streams of a tenant.

    Of components and lots, units that were built into other units take them along.
    """
    from linewitness.store.questions.where_used import where_used as ask

    options: dict[Any, str | None] = {
        "lot": lot,
        "serial": serial,
        "material": material,
        "tool": tool,
        "program": program,
        "operator": operator,
    }
    named = [(what, name) for what, name in options.items() if name is not None]
    if len(named) != 1:
        raise ConfigurationError(
            "one thing is asked for at a time",
            hint="name --lot, --serial, --material, --tool, --program or --operator",
        )
    span = span_of(since, until)
    with store_database(file) as database:
        put(ask(database, *named[0], tenant=tenant, span=span), as_format, output)


def changes(
    file: StoreFile,
    *,
    device: Device = None,
    point: Annotated[
        str | None, typer.Option(help="Only of this point or field.", show_default=False)
    ] = None,
    actor: Annotated[
        str | None, typer.Option(help="Only by this person or device.", show_default=False)
    ] = None,
    order: Annotated[
        str | None, typer.Option(help="Only while a station worked on this order.", show_default=False)
    ] = None,
    since: Since = None,
    until: Until = None,
    week: Annotated[
        str | None, typer.Option(help="A week of ISO 8601, such as 2026-W47 (UTC).", show_default=False)
    ] = None,
    tenant: TenantName = None,
    as_format: Format = None,
    output: Output = None,
) -> None:
    """List who changed what, from what to what, when and why: parameters, settings, tools, orders."""
    from linewitness.store.questions.changes import ChangesAsked, week_span
    from linewitness.store.questions.changes import changes as ask

    if week is not None and (since or until):
        raise ConfigurationError("--week is a time of its own", hint="leave out --from and --to")
    span = span_of(since, until) if week is None else week_span(week)
    with store_database(file) as database:
        asked = ChangesAsked(device, point, actor, order, span)
        put(ask(database, asked, tenant=tenant), as_format, output)


def tool(
    file: StoreFile,
    name: Annotated[
        str, typer.Argument(metavar="TOOL", help="The tool's serial number.", show_default=False)
    ],
    *,
    between_calibrations: Annotated[
        bool, typer.Option("--between-calibrations", help="Name the units of each time between calibrations.")
    ] = False,
    since: Since = None,
    until: Until = None,
    tenant: TenantName = None,
    as_format: Format = None,
    output: Output = None,
) -> None:
    """List what a tool did since each of its calibrations: results, how many were not good, and the units."""
    from linewitness.store.questions.tools import tool_work

    span = span_of(since, until)
    with store_database(file) as database:
        answer = tool_work(
            database, name, tenant=tenant, between_calibrations=between_calibrations, span=span
        )
        put(answer, as_format, output)


def gaps(
    file: StoreFile,
    *,
    device: Device = None,
    since: Since = None,
    until: Until = None,
    tenant: TenantName = None,
    as_format: Format = None,
    output: Output = None,
) -> None:
    """List stretches without capture and disturbances: lost devices, stops, conflicts, alarms, set clocks."""
    from linewitness.store.questions.times import gaps as ask

    span = span_of(since, until)
    with store_database(file) as database:
        put(ask(database, tenant=tenant, device=device, span=span), as_format, output)


def late(
    file: StoreFile,
    *,
    device: Device = None,
    over: Annotated[
        float | None,
        typer.Option(min=0, help="Only what took more than so many seconds.", show_default=False),
    ] = None,
    since: Since = None,
    until: Until = None,
    tenant: TenantName = None,
    as_format: Format = None,
    output: Output = None,
) -> None:
    """List records that came late, to the gateway or to the store, or whose clock was not synchronised."""
    from linewitness.store.questions.times import late as ask

    span = span_of(since, until)
    with store_database(file) as database:
        put(ask(database, tenant=tenant, device=device, over_s=over, span=span), as_format, output)


def sessions(
    file: StoreFile,
    *,
    operator: Annotated[str | None, typer.Option(help="Only of this person.", show_default=False)] = None,
    station: Annotated[str | None, typer.Option(help="Only at this station.", show_default=False)] = None,
    since: Since = None,
    until: Until = None,
    tenant: TenantName = None,
    as_format: Format = None,
    output: Output = None,
) -> None:
    """List who was signed on at which station, from when to when."""
    from linewitness.store.questions.times import sessions as ask

    span = span_of(since, until)
    with store_database(file) as database:
        answer = ask(database, tenant=tenant, operator=operator, station=station, span=span)
        put(answer, as_format, output)


def rebuild(file: StoreFile, *, tenant: TenantName = None) -> None:
    """Drop the views and make them again from the evidence; the store may run meanwhile."""
    from linewitness.base.clock import SystemClock
    from linewitness.cli.progress import counting
    from linewitness.store.views.rebuild import rebuild as make

    done = 0
    with store_database(file) as database, counting("records") as show:

        def tell(taken: int) -> None:
            nonlocal done
            done += taken
            show(done)

        rebuilt = make(database, clock=SystemClock(), tenant=tenant, tell=tell)
    typer.echo(
        f"views made again: records {rebuilt.records}, streams {rebuilt.streams}, {rebuilt.seconds:.1f} s"
    )


def span_of(since: str | None, until: str | None) -> "AskedSpan":
    """Return the time that two options name."""
    from linewitness.store.questions.answers import AskedSpan

    return AskedSpan.of(since, until)


def format_of(named: str | None, output: Path | None) -> "AnswerFormat":
    """Return the format that is asked for, by its name or by the name of the file."""
    from linewitness.store.questions.formats import FORMATS

    suffix = output.suffix.removeprefix(".") if output else ""
    wanted = named or (suffix if suffix in FORMATS else "table")
    for known in FORMATS:
        if wanted == known:
            if known == "parquet" and output is None:
                raise ConfigurationError("Parquet goes into a file", hint="name one with --output")
            return known
    raise ConfigurationError(f"{wanted!r} is no format", hint=f"one of {', '.join(FORMATS)}")


def put(answer: "ViewAnswer", named: str | None, output: Path | None) -> None:
    """Write an answer; how far it holds goes to standard error where the format has no place for it."""
    from linewitness.cli.store_export import writing_to
    from linewitness.store.questions.formats import how_far, render

    as_format = format_of(named, output)
    data = render(answer, as_format)
    with writing_to(output) as write:
        write(data)
    if as_format in ("csv", "parquet"):
        for line in how_far(answer):
            typer.echo(line, err=True)
