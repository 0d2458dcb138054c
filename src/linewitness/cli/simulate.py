"""`linewitness simulate`: start a bundled simulated device."""

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

#: Devices that can be simulated: folders of the package `linewitness_simulators`, imported on demand.
SIMULATORS: Final = ("ntp", "oven", "press", "scale", "scanner", "torque")


class _OnDemand(TyperGroup):
    """A group that imports a command when it is used, so that `--help` stays fast."""

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
    """Start a simulated device on a real socket. It runs until SIGTERM or SIGINT."""
