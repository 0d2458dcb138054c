"""How a command ends: which exit code, and what it says."""

import sys
import traceback
from collections.abc import Iterator

from linewitness.base.errors import ExitCode, LinewitnessError


def exit_code_of(error: BaseException) -> ExitCode:
    """Say what went wrong on standard error and return the exit code that stands for it."""
    causes = list(_causes(error))
    known = [cause for cause in causes if isinstance(cause, LinewitnessError)]
    unknown = [cause for cause in causes if not isinstance(cause, LinewitnessError)]
    if unknown or not known:
        traceback.print_exception(error)
        sys.stderr.write("linewitness: this is a bug; please report the lines above\n")
        return ExitCode.BUG
    for cause in dict.fromkeys(str(cause) for cause in known):
        sys.stderr.write(f"linewitness: {cause}\n")
    return max(cause.exit_code for cause in known)


def _causes(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    else:
        yield error
