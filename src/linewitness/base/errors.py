"""Every error that a user can meet: what happened, what to do, and the exit code it ends with."""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of the `linewitness` command."""

    OK = 0
    BROKEN = 1
    CONFIGURATION = 2
    REFUSED = 3
    JOURNAL = 4
    UNJUDGED = 5
    OUTDATED = 6
    BUG = 70
    OUTPUT = 74


class LinewitnessError(Exception):
    """An error that an operator can act on: `what` says what happened, `hint` what to do next."""

    exit_code: ClassVar[ExitCode] = ExitCode.BUG

    def __init__(self, what: str, *, hint: str = "") -> None:
        """Keep what happened apart from the advice, so that callers can show both."""
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        """Return one line: what happened, then what to do."""
        return f"{self.what} ({self.hint})" if self.hint else self.what


class ConfigurationError(LinewitnessError):
    """The YAML, a file it names or the command line is wrong; nothing was started."""

    exit_code = ExitCode.CONFIGURATION


class OutputFailed(LinewitnessError):
    """Standard output or standard error cannot be written: what was to be said is lost."""

    exit_code = ExitCode.OUTPUT


class DeviceError(LinewitnessError):
    """A device cannot be worked with now."""

    exit_code = ExitCode.REFUSED


class DeviceUnavailable(DeviceError):
    """The device did not answer, or the session broke: worth retrying."""


class DeviceRefused(DeviceError):
    """The device refused (identity, certificate, revision): operator action required, not a retry."""


class UplinkUnavailable(LinewitnessError):
    """The broker did not answer, or the connection broke: worth retrying."""

    exit_code = ExitCode.REFUSED


class UplinkRefused(LinewitnessError):
    """The broker refused the connection, the credentials or a publish: operator action required."""

    exit_code = ExitCode.REFUSED


class UplinkTooLarge(UplinkRefused):
    """The broker takes no message of this size."""


class JournalError(LinewitnessError):
    """The journal cannot accept records; no device is told that its data are safe."""

    exit_code = ExitCode.JOURNAL


class JournalDamaged(JournalError):
    """The journal's files contradict themselves; they are never repaired in silence."""


class JournalFull(JournalError):
    """The disk or the configured limit is used up."""


class EvidenceError(LinewitnessError):
    """A record, note, key or proof is not what the format says."""

    exit_code = ExitCode.BROKEN
