"""Set up logging: readable lines on a terminal, JSON otherwise, and nobody ever waits for who reads them."""

import atexit
import faulthandler
import logging
import sys
from collections.abc import Callable
from typing import Any, Final

import structlog

from linewitness.base.line_writer import LineWriter, flush_all
from linewitness.base.log_limits import LogFigures, LogLimits
from linewitness.cli.foreign_logs import take_over

#: At the end of the process the last lines get this long to be written.
LAST_LINES_S: Final = 2.0
#: Characters of one value; a longer one is cut.
MOST_CHARACTERS: Final = 8192
#: Members that say whom a message is about: each has its own limit.
_SOURCES: Final = ("device", "peer", "tenant", "gateway", "origin", "place", "setting", "source", "logger")
_STANDARD_ERROR: Final = 2

Event = structlog.types.EventDict


def set_up(level: str, form: str) -> Callable[[], LogFigures]:
    """Send structured log lines to standard error, from `level` on; `form` is auto, console or json.

    From now on everything that this process writes to standard error is such a line: messages of libraries,
    warnings, and exceptions that nobody took. Returns where to ask what the log does not hold.
    """
    limits = LogLimits()
    processors = _processors(for_people=form == "console" or (form == "auto" and _is_terminal()))

    def report(count: int) -> bytes:
        members = {"event": "log messages dropped: nobody read them in time", "count": count}
        return _rendered("warning", members, processors)

    def suppressed(*, all_of_them: bool = False) -> None:
        for cause, source, count in limits.ended(all_of_them=all_of_them):
            members = {"event": "log messages suppressed", "like": cause, "source": source, "count": count}
            writer.put(_rendered("warning", members, processors))

    writer = LineWriter(_STANDARD_ERROR, report=report, idle=suppressed)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _limited(limits), *processors],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: _Lines(writer),
    )
    faulthandler.enable(_STANDARD_ERROR)  # systemd's watchdog ends a stuck process with SIGABRT
    take_over()
    atexit.register(flush_all, LAST_LINES_S)
    atexit.register(suppressed, all_of_them=True)
    return lambda: LogFigures(writer.dropped, writer.losing, limits.suppressed)


def set_up_silence() -> None:
    """Write only what is fatal, at once and as it comes: for commands that report otherwise."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.basicConfig(level=logging.CRITICAL)


class _Lines:
    """The end of structlog's processors: a rendered message becomes a line."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def msg(self, message: str) -> None:
        self._writer.put(_line(message))

    log = debug = info = warn = warning = error = critical = fatal = exception = msg


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _line(message: str) -> bytes:
    return message.encode("utf-8", "backslashreplace") + b"\n"


def _processors(*, for_people: bool) -> list[structlog.types.Processor]:
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(colors=_is_terminal())
        if for_people
        else structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False)
    )
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _cut,
        renderer,
    ]


def _rendered(method: str, event: dict[str, Any], processors: list[structlog.types.Processor]) -> bytes:
    rendered: Any = event
    for processor in processors:
        rendered = processor(None, method, rendered)
    return _line(str(rendered))


def _cut(_: object, __: str, event: Event) -> Event:
    """Cut what is long: what a device sends does not decide how long a line is."""
    for name, value in event.items():
        if isinstance(value, str) and len(value) > MOST_CHARACTERS:
            event[name] = f"{value[:MOST_CHARACTERS]} … ({len(value)} characters)"
    return event


def _source(name: str, value: object) -> str:
    """Return whom a message is about; of a peer without its port, which is another one at each attempt."""
    text = str(value)
    return text.rpartition(":")[0] or text if name == "peer" else text


def _limited(limits: LogLimits) -> structlog.types.Processor:
    """Make the processor that drops what was logged often enough; a library's text has a `cause`."""

    def limited(_: object, __: str, event: Event) -> Event:
        cause = event.pop("cause", event["event"])
        source = " ".join(_source(name, event[name]) for name in _SOURCES if name in event)
        if not limits.admit(str(cause)[:200], source[:200]):
            raise structlog.DropEvent
        return event

    return limited
