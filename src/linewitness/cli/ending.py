"""End a command: its exit code and its message on standard error."""

import io
import os
import sys
import traceback
from contextlib import suppress
from typing import Final, TextIO, cast

from linewitness.base.errors import ExitCode, LinewitnessError, OutputFailed
from linewitness.base.failures import causes

_STANDARD_ERROR: Final = 2


def open_standard_files() -> None:
    """Open what the caller has closed: a file opened later must not take the place of standard error."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(descriptor)
    sys.stdout = _checked(sys.stdout, 1)
    sys.stderr = _checked(sys.stderr, _STANDARD_ERROR)


def _checked(stream: TextIO | None, descriptor: int) -> "CheckedStream":
    if stream is None:
        return CheckedStream(os.fdopen(descriptor, "wb", closefd=False))
    whole_lines, at_once = stream.line_buffering, getattr(stream, "write_through", False)
    encoding, errors = stream.encoding, stream.errors
    return CheckedStream(
        cast(io.TextIOWrapper, stream).detach(),
        encoding=encoding,
        errors=errors,
        line_buffering=bool(whole_lines),
        write_through=at_once,
    )


def write_output(data: bytes) -> None:
    """Write bytes to standard output; OutputFailed where that cannot be."""
    try:
        sys.stdout.buffer.write(data)
    except OSError as error:
        raise OutputFailed(f"the output cannot be written: {error.strerror}") from error


class CheckedStream(io.TextIOWrapper):
    """Standard output or standard error: OutputFailed where it cannot be written, and nothing else is."""

    failed = False

    def write(self, text: str) -> int:
        """Write a text."""
        try:
            return super().write(text)
        except OSError as error:
            raise self._error(error) from error

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            super().flush()
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> OutputFailed:
        self.failed = True
        return OutputFailed(f"the output cannot be written: {error.strerror}")


def exit_code_of(error: BaseException) -> ExitCode:
    """Print the error to standard error, or log it where a log was set up; return its exit code."""
    found = list(causes(error))
    known = [cause for cause in found if isinstance(cause, LinewitnessError)]
    is_bug = len(known) < len(found) or not known
    code = ExitCode.BUG if is_bug else max(cause.exit_code for cause in known)
    with suppress(OutputFailed):  # `settled` returns the exit code for it
        if _has_log():
            _log(error, known, code, is_bug=is_bug)
        else:
            _print(error, known, is_bug=is_bug)
    return code


def settled(code: int) -> int:
    """Write what is still buffered, and return the exit code: OUTPUT where it cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OutputFailed):
            stream.flush()
        if isinstance(stream, CheckedStream) and stream.failed:
            code = ExitCode.OUTPUT
            # The interpreter tries once more at its end, and has an exit code of its own.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


def _has_log() -> bool:
    """Return whether this process writes messages to standard error instead of text."""
    logs = sys.modules.get("linewitness.cli.foreign_logs")
    return logs is not None and isinstance(sys.stderr, logs.MessageStream)


def _print(error: BaseException, known: list[LinewitnessError], *, is_bug: bool) -> None:
    if is_bug:
        traceback.print_exception(error)
        sys.stderr.write("linewitness: this is a bug; please report the lines above\n")
        return
    if isinstance(error.__cause__, BrokenPipeError):
        return  # whoever read it has seen enough
    for cause in dict.fromkeys(str(cause) for cause in known):
        sys.stderr.write(f"linewitness: {cause}\n")


def _log(error: BaseException, known: list[LinewitnessError], code: ExitCode, *, is_bug: bool) -> None:
    import structlog

    log = structlog.get_logger()
    if is_bug:
        log.critical("this is a bug: the process ends, please report it", exit_code=int(code), exc_info=error)
        return
    for cause in {str(cause): cause for cause in known}.values():
        log.critical("the process ends", exit_code=int(code), why=cause.what, hint=cause.hint)
