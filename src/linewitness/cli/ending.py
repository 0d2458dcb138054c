"""End a command: its exit code and its message on standard error."""

import sys
import traceback

from linewitness.base.errors import ExitCode, LinewitnessError
from linewitness.base.failures import causes


def exit_code_of(error: BaseException) -> ExitCode:
    """Print the error to standard error and return its exit code."""
    found = list(causes(error))
    known = [cause for cause in found if isinstance(cause, LinewitnessError)]
    unknown = [cause for cause in found if not isinstance(cause, LinewitnessError)]
    if unknown or not known:
        traceback.print_exception(error)
        sys.stderr.write("linewitness: this is a bug; please report the lines above\n")
        return ExitCode.BUG
    for cause in dict.fromkeys(str(cause) for cause in known):
        sys.stderr.write(f"linewitness: {cause}\n")
    return max(cause.exit_code for cause in known)
