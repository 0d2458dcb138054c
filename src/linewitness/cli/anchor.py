"""`linewitness anchor`: anchor the newest checkpoint now, for example at the end of a batch."""

from pathlib import Path
from typing import Annotated

import typer


def anchor(
    file: Annotated[Path, typer.Argument(help="The line's YAML.", show_default=False)],
    *,
    wait_s: Annotated[float, typer.Option(min=0, help="Seconds to wait for the running gateway.")] = 60.0,
) -> None:
    """Anchor the stream now, through the running gateway, and print what each anchor holds."""
    from linewitness.base.errors import ConfigurationError, JournalError
    from linewitness.cli.waiting import awaited
    from linewitness.config import load
    from linewitness.journal.database import JournalBusy, Lock
    from linewitness.journal.reader import JournalReader
    from linewitness.journal.requests import ANCHOR, Requests
    from linewitness.status.report import report

    config = load(file)
    directory = config.journal.directory
    if not config.anchors.named:
        raise ConfigurationError("the YAML names no anchors", hint="add an anchor to the section `anchors`")
    try:
        with Lock(directory):
            raise ConfigurationError(
                "no gateway runs on this line", hint="it anchors when it starts and stops"
            )
    except JournalBusy:
        requests = Requests(directory)
    requests.place(ANCHOR)
    if awaited(lambda: not requests.waiting(ANCHOR) or None, wait_s) is None:
        raise JournalError(
            "the gateway has not anchored yet", hint="the request is kept; see the gateway's log"
        )
    with JournalReader(directory) as reader:
        for line in report(reader, None).anchors:
            typer.echo(line)
