"""`linewitness selftest`: test on this machine and disk that no confirmed record is lost."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from linewitness_selftest.suite import Extent

_INTERRUPTED: Final = 130


def selftest(
    *,
    directory: Annotated[
        Path, typer.Option(help="A folder on the disk to test; the test removes what it creates.")
    ] = Path(),
    kills: Annotated[
        int | None, typer.Option(min=1, help="Number of kills; default: 200, or 1000 with --full.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Test a sample in less than a minute.")] = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="Test each system call of each operation, with 1000 kills: minutes."),
    ] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Repeat the choices of an earlier run.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Test this disk: inject faults into journals and count losses. Exit code 4 means a loss."""
    import asyncio
    import secrets

    import orjson
    from rich.console import Console

    from linewitness.base.errors import ExitCode
    from linewitness.cli.logs import set_up_silence

    extent = _extent(kills, quick=quick, full=full)
    from linewitness.base.stopping import STOP
    from linewitness_selftest.show import Progressing, show
    from linewitness_selftest.suite import SelftestReport, check_place, run_all

    check_place(directory)
    set_up_silence()  # the table reports what the store and the pruner would log
    chosen = secrets.randbelow(10**6) if seed is None else seed

    async def until_signalled(progress: Progressing) -> SelftestReport:
        if (task := asyncio.current_task()) is not None:
            for number in STOP:
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await run_all(directory.resolve(), extent=extent, seed=chosen, watcher=progress)

    try:
        with Progressing() as progress:
            report = asyncio.run(until_signalled(progress))
    except asyncio.CancelledError:
        typer.echo("interrupted; nothing is left behind", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    if as_json:
        typer.echo(orjson.dumps(report.members(), option=orjson.OPT_INDENT_2).decode())
    else:
        show(report, Console())
    raise typer.Exit(ExitCode.OK if report.held else ExitCode.JOURNAL)


def _extent(kills: int | None, *, quick: bool, full: bool) -> "Extent":
    from dataclasses import replace
    from importlib.util import find_spec

    from linewitness.base.errors import ConfigurationError

    if quick and full:
        raise ConfigurationError("--quick and --full exclude each other", hint="choose one of them")
    if find_spec("sqlalchemy") is None:
        raise ConfigurationError(
            "the selftest hands all records to an audit store",
            hint="install it with pip install 'linewitness[store]'",
        )
    from linewitness_selftest.suite import FULL_EXTENT, QUICK, USUAL

    extent = QUICK if quick else FULL_EXTENT if full else USUAL
    return extent if kills is None else replace(extent, kills=kills)
