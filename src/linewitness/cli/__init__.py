"""The `linewitness` command: one file a group of commands, and no logic of its own."""

import sys

import typer

from linewitness.base.errors import ExitCode
from linewitness.cli import (
    anchor,
    begin,
    check,
    clock,
    delays,
    export,
    history,
    install,
    keys,
    look,
    policy,
    run,
    selftest,
    simulate,
    store,
)

app = typer.Typer(
    name="linewitness",
    help="An edge gateway that can testify.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(begin.init)
app.command(name="run")(run.run)
app.command()(run.reload)
app.command()(check.check)
app.command()(check.schema)
app.command()(look.probe)
app.command()(look.browse)
app.command()(history.status)
app.command()(history.verify)
app.command()(export.export)
app.command(name="anchor")(anchor.anchor)
app.command(name="clock")(clock.clock)
app.command(name="delays")(delays.delays)
app.command()(run.demo)
app.command()(selftest.selftest)
app.command()(install.install)
app.command()(install.uninstall)
app.add_typer(policy.app, name="policy", help="Whose word counts for an auditor.")
app.add_typer(keys.app, name="keys", help="What signs a stream.")
app.add_typer(store.app, name="store", help="The reference audit store.")
app.add_typer(simulate.app, name="simulate", help="Start a simulated device.")


def main() -> None:
    """Run the command line; errors end with one line on standard error and a documented exit code."""
    from linewitness.cli.ending import exit_code_of

    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(ExitCode.OK)
    except BaseExceptionGroup as group:
        sys.exit(exit_code_of(group))
    except Exception as error:  # noqa: BLE001 (the process boundary: everything gets its exit code here)
        sys.exit(exit_code_of(error))
