"""Turn what others write to standard error into messages: libraries, warnings, exceptions nobody took."""

import io
import logging
import sys
import threading
import warnings
from types import TracebackType
from typing import Final

import structlog

log = structlog.get_logger()

_LEVELS: Final = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)


def take_over() -> None:
    """Turn everything that this process writes to standard error into messages."""
    # The libraries log each transient error of a device; the product logs what matters, once.
    logging.basicConfig(level=logging.ERROR, handlers=[_Forwarding()], force=True)
    for library in ("asyncua", "pymodbus"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    logging.getLogger("py.warnings").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    warnings.formatwarning = _warning
    sys.excepthook = _exception
    sys.unraisablehook = _unraisable
    threading.excepthook = _of_thread
    sys.stderr = MessageStream()


class _Forwarding(logging.Handler):
    """Hand on what a library logs."""

    def emit(self, record: logging.LogRecord) -> None:
        level = next((level for level in _LEVELS if level <= record.levelno), logging.DEBUG)
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # the library's own mistake
            message = str(record.msg)
        cause = f"{record.name} {record.msg}"
        log.log(level, message, cause=cause, logger=record.name, exc_info=record.exc_info or None)


class MessageStream(io.TextIOBase):
    """What is still written to standard error: each line becomes a message, and nothing waits."""

    def __init__(self) -> None:
        """Begin with an empty line."""
        self._rest = ""

    def writable(self) -> bool:
        """Return that it is."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of standard error."""
        return 2

    def write(self, text: str) -> int:
        """Log each line that is complete."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(str.strip, lines):
            log.error("standard error", text=line)
        return len(text)


def _warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,  # noqa: ARG001 (the line of code is for people at a terminal)
) -> str:
    return f"{filename}:{lineno}: {category.__name__}: {message}"


def _exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("an exception that nobody took", exc_info=(kind, error, trace))


def _unraisable(given: "sys.UnraisableHookArgs") -> None:
    log.error(
        "an exception that nobody can take",
        where=repr(given.object),
        what=given.err_msg,
        exc_info=(given.exc_type, given.exc_value, given.exc_traceback) if given.exc_value else None,
    )


def _of_thread(given: threading.ExceptHookArgs) -> None:
    log.error(
        "a thread ended with an exception",
        thread=given.thread.name if given.thread else None,
        exc_info=(given.exc_type, given.exc_value, given.exc_traceback) if given.exc_value else None,
    )
