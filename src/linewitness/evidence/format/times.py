"""Times as records have them (docs/format.md, section 2): UTC, milliseconds, `YYYY-MM-DDTHH:MM:SS.mmmZ`.

Verifiers share no code with the gateway's clock, which writes them.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

NS_PER_S: Final = 1_000_000_000
#: The form alone: which days a month has, the calendar says.
TIME: Final = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TO_THE_MINUTE: Final = len("YYYY-MM-DDTHH:MM")
_NS_PER_MS: Final = 1_000_000


@lru_cache(maxsize=64)
def unix_us(time: str) -> int:
    """Return the Unix microseconds of a time whose form was checked; ValueError if there is no such day."""
    return _minute_us(time[:_TO_THE_MINUTE]) + int(time[17:19] + time[20:23]) * 1000


def unix_ns(time: str) -> int:
    """Return the Unix nanoseconds of a time; ValueError for any other text."""
    if TIME.fullmatch(time) is None:
        raise ValueError(f"{time!r} is no time")
    return unix_us(time) * 1000


def text_of(unix_ns: int) -> str:
    """Return Unix nanoseconds as text, cut to the millisecond."""
    seconds, rest = divmod(unix_ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // _NS_PER_MS:03d}Z"


@lru_cache(maxsize=64)
def _minute_us(time: str) -> int:
    """Return the microseconds at which a minute begins; many records share one."""
    elapsed = datetime.fromisoformat(time + "Z") - _EPOCH
    return (elapsed.days * 86400 + elapsed.seconds) * 1_000_000
