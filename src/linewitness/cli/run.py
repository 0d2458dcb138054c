"""`linewitness run`, `reload` and `demo`: run a line, reload its YAML, run the demonstration."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from linewitness.config import Config

#: Seconds that a start may take.
STARTED_S = 10.0
#: Seconds after which a line has connected to its devices and loaded its modules.
SETTLED_S = 30.0
COLLECT_S = 60.0
#: Seconds in which a gateway takes a YAML over; the sessions of changed devices end before.
ANSWER_S = 60.0

LineFile = Annotated[Path, typer.Argument(help="The line's YAML.", show_default=False)]


def run(file: LineFile) -> None:
    """Run a line until SIGTERM or SIGINT. SIGHUP reloads the YAML."""
    import asyncio
    import gc
    import signal

    from linewitness.base.secrets import keep_memory_private
    from linewitness.base.stopping import on_signal
    from linewitness.cli.logs import set_up
    from linewitness.gateway.app import Reload, run_line

    keep_memory_private()
    config = _ready(file)
    log = set_up(config.log.level, config.log.format)
    # What a start makes stays: with 50,000 points, looking for garbage in it takes a quarter of the time.
    gc.disable()

    async def until_signalled() -> None:
        stop, asked = on_signal(), on_signal([signal.SIGHUP])
        asyncio.get_running_loop().call_later(STARTED_S, gc.enable)
        asyncio.get_running_loop().call_later(SETTLED_S, _keep_what_is_there)
        await run_line(config, stop, reload=Reload(asked, lambda: _ready(file)), log=log)

    asyncio.run(until_signalled())


def _ready(file: Path) -> "Config":
    """Return a line's settings; ConfigurationError if they are wrong, or if others may read their secrets."""
    from linewitness.base.secrets import refuse_exposed
    from linewitness.config import load
    from linewitness.config.files import secret_files

    config = load(file)
    refuse_exposed(secret_files(config))
    return config


def _keep_what_is_there() -> None:
    """Exempt the objects of the start from garbage collection, and collect the others once a minute.

    Otherwise garbage may become a quarter of all objects, and memory grows for hours.
    """
    import gc

    gc.collect()
    gc.freeze()
    _collect()


def _collect() -> None:
    import asyncio
    import gc

    gc.collect()
    asyncio.get_running_loop().call_later(COLLECT_S, _collect)


def reload(file: LineFile) -> None:
    """Reload the YAML of the running gateway. An invalid YAML is refused before the gateway is asked.

    Exit code 0: applied. 2: the YAML is invalid. 3: it needs a restart, or the gateway has not answered.
    """
    from linewitness.base.errors import ConfigurationError, ExitCode
    from linewitness.cli.waiting import awaited
    from linewitness.journal.database import is_being_written
    from linewitness.journal.requests import RELOAD, Requests

    directory = _ready(file).journal.directory
    if not is_being_written(directory):
        raise ConfigurationError(
            f"no gateway runs on the journal of this YAML, {directory}",
            hint="start it with `linewitness run`; if it runs and journal.directory was changed, restart it",
        )
    requests = Requests(directory)
    requests.answered(RELOAD)  # that of an earlier request
    requests.place(RELOAD)
    answer = awaited(lambda: requests.answered(RELOAD), ANSWER_S)
    if answer is None:
        typer.echo(f"the gateway has not answered within {ANSWER_S:g} s: its log shows the result", err=True)
        raise typer.Exit(ExitCode.REFUSED)
    outcome, what = answer.get("outcome"), answer.get("what", "")
    if outcome == "wrong":
        raise ConfigurationError(f"the gateway refused the YAML: {what}", hint="correct it; the old one runs")
    if outcome == "restart":
        typer.echo(f"not applied, the old YAML runs: these sections need a restart: {what}", err=True)
        raise typer.Exit(ExitCode.REFUSED)
    typer.echo(f"applied: {what}; the record `config.applied` says what changed")


def demo(
    *,
    embedded: Annotated[
        bool,
        typer.Option("--embedded-broker", help="Use the broker in Python even if mosquitto is installed."),
    ] = False,
) -> None:
    """Run the demonstration: devices, an outage, a crash, receipts and a detected forgery.

    Takes less than two minutes. Exit code 0: each of its checks passed.
    """
    from importlib.util import find_spec

    from linewitness.base.errors import ConfigurationError

    if find_spec("sqlalchemy") is None:
        raise ConfigurationError(
            "the demo needs an audit store", hint="install it with pip install 'linewitness[demo]'"
        )
    from linewitness.demo.story import run_demo

    raise typer.Exit(run_demo(mosquitto=False if embedded else None))
