"""`linewitness simulate`: start any of the bundled simulated devices."""

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

#: What can be simulated; each is a folder of the package `linewitness_simulators`, imported on demand.
SIMULATORS: Final = ("ntp", "oven", "press", "scale", "scanner", "torque")


class _OnDemand(TyperGroup):
    """A group whose commands are imported when they are asked for, so that `--help` stays quick."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (the signature of the library)
        """Return the names of all simulators."""
        return list(SIMULATORS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 (the signature of the library)
        """Import one simulator's command."""
        if cmd_name not in SIMULATORS:
            return None
        module = import_module(f"linewitness_simulators.{cmd_name}.command")
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name=cmd_name)(module.command)
        return typer.main.get_command(single)


app = typer.Typer(cls=_OnDemand, no_args_is_help=True, add_completion=False)


@app.callback()
def simulate() -> None:
    """Start a simulated device on a real socket; it runs until SIGTERM or SIGINT."""
