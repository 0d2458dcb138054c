"""The `linewitness` command: one module for each group of commands, without logic of its own."""

import sys
from typing import Annotated

import typer

from linewitness.base.errors import ExitCode
from linewitness.cli import (
    anchor,
    begin,
    check,
    clock,
    delays,
    device_history,
    export,
    handover,
    history,
    importing,
    install,
    keys,
    lists,
    look,
    policy,
    run,
    selftest,
    simulate,
    store,
    verifier,
)

app = typer.Typer(
    name="linewitness",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"linewitness {version('linewitness')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Record what a production line did, and verify the record offline."""


app.command()(begin.init)
app.command(name="run")(run.run)
app.command()(run.reload)
app.command()(check.check)
app.command()(check.schema)
app.command(name="import")(importing.import_points)
app.command()(look.probe)
app.command()(look.browse)
app.command()(history.status)
app.command()(history.verify)
app.command()(export.export)
app.command()(device_history.unit)
app.command()(verifier.verifier)
app.command()(handover.handover)
app.command(name="anchor")(anchor.anchor)
app.command(name="clock")(clock.clock)
app.command(name="delays")(delays.delays)
app.command()(run.demo)
app.command()(selftest.selftest)
app.command()(install.install)
app.command()(install.uninstall)
app.add_typer(policy.app, name="policy", help="Write, sign and check policies.")
app.add_typer(keys.app, name="keys", help="Show and rotate the keys of a stream; make an OPC UA certificate.")
app.add_typer(lists.app, name="lists", help="Sign a list of lots and the like; show which lists count.")
app.add_typer(store.app, name="store", help="Operate the reference audit store.")
app.add_typer(simulate.app, name="simulate", help="Start a simulated device.")


def main() -> None:
    """Run the command line; report an error in one line on standard error and exit with a documented code."""
    from linewitness.cli.ending import exit_code_of, open_standard_files, settled

    open_standard_files()
    code: int = ExitCode.OK
    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        code = ExitCode.OK
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseExceptionGroup as group:
        code = exit_code_of(group)
    except Exception as error:  # noqa: BLE001 (the process boundary: everything gets its exit code here)
        code = exit_code_of(error)
    sys.exit(settled(code))
