"""Believe chrony where it runs: what `chronyc tracking` says, as a sample like any other."""

import asyncio
import contextlib
from typing import Final

from linewitness.base.clock import NS_PER_S, Stamp
from linewitness.timesources.sample import Leap, Sample, SourceSilent, StampSource

#: Machine-readable, no name look-ups, no privileges needed.
COMMAND: Final = ("chronyc", "-c", "-n", "tracking")
FIELDS: Final = 14
#: What chrony calls itself when it trusts nothing but this machine (directive `local`).
ITSELF: Final = "7F7F0101"
#: chrony asks its sources at intervals; after this many without an update it is on its own.
UPDATES_MISSED: Final = 4
READING_NS: Final = 50_000
#: Between our two stamps around the question the clocks may part by this much, and by slewing.
PARTING_NS: Final = 1_000_000

_LEAPS: Final = {"Normal": Leap.NONE, "Insert second": Leap.INSERT, "Delete second": Leap.DELETE}


def parse_tracking(text: str, stamp: Stamp, *, patience_s: int, source: str = "chrony") -> Sample:
    """Return what one line of `chronyc -c tracking` proves at `stamp`; SourceSilent if it proves nothing.

    `patience_s` is how old chrony's last update may be, at least.
    """
    fields = text.strip().split(",")
    if len(fields) != FIELDS:
        raise SourceSilent(f"chronyc answers something else than tracking: {text.strip()[:80]!r}")
    reference, name, leap = fields[0], fields[1], fields[13]
    if leap not in _LEAPS:
        raise SourceSilent(f"it says that it is not synchronised (leap status: {leap})")
    if reference == ITSELF:
        raise SourceSilent("it trusts its own clock only (local stratum), which proves nothing")
    try:
        stratum = int(fields[2])
        updated_ns, offset_ns, root_delay_ns, root_dispersion_ns, interval_ns = (
            _nanoseconds(fields[n]) for n in (3, 4, 10, 11, 12)
        )
    except ValueError:
        raise SourceSilent(f"chronyc's numbers cannot be read: {text.strip()[:120]!r}") from None
    age_ns = stamp.realtime_ns - updated_ns
    if age_ns > max(patience_s * NS_PER_S, UPDATES_MISSED * interval_ns):
        raise SourceSilent(f"its own sources have been silent for {age_ns // NS_PER_S} s")
    distance = abs(root_dispersion_ns) + abs(root_delay_ns) // 2
    return Sample(
        source=source,
        boottime_ns=stamp.boottime_ns,
        # A positive number means that the system's clock is slow.
        utc_ns=stamp.realtime_ns + offset_ns,
        half_ns=distance + READING_NS,
        offset_ns=offset_ns,
        delay_ns=abs(root_delay_ns),
        root_dispersion_ns=abs(root_dispersion_ns),
        stratum=stratum,
        reference=name or reference,
        leap=_LEAPS[leap],
    )


def _nanoseconds(seconds: str) -> int:
    whole, _, fraction = seconds.strip().partition(".")
    sign = -1 if whole.startswith("-") else 1
    return int(whole) * NS_PER_S + sign * int((fraction + "000000000")[:9])


class ChronySource:
    """The chronyd of this machine."""

    def __init__(
        self, *, clock: StampSource, timeout_s: float, patience_s: int, command: tuple[str, ...] = COMMAND
    ) -> None:
        """Set how to ask; `command` is another one where chronyd listens elsewhere."""
        self._clock = clock
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._command = command

    @property
    def name(self) -> str:
        """Always `chrony`."""
        return "chrony"

    async def ask(self) -> Sample:
        """Ask chronyd once."""
        before = self._clock.stamp()
        text = await self._tracking()
        after = self._clock.stamp()
        elapsed = after.boottime_ns - before.boottime_ns
        parted = abs((after.realtime_ns - before.realtime_ns) - elapsed)
        if parted > PARTING_NS:
            raise SourceSilent("the clock was set during the question")
        return parse_tracking(text, after, patience_s=self._patience_s)

    async def _tracking(self) -> str:
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(*self._command, stdout=pipe, stderr=pipe)
        except OSError as error:
            raise SourceSilent(f"chronyc cannot be run: {error.strerror or error}") from error
        try:
            async with asyncio.timeout(self._timeout_s):
                output, _ = await process.communicate()
        except TimeoutError:
            raise SourceSilent(f"chronyc gave no answer within {self._timeout_s} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            reason = output.decode("utf-8", "replace").strip() or f"exit code {process.returncode}"
            raise SourceSilent(f"chronyd does not answer: {reason}")
        return output.decode("ascii", "replace")
