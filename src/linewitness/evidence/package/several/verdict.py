"""The verdict on several streams: one on each of them, and the weakest on the whole.

docs/format.md, section 12.10.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from linewitness.evidence.format import canonical

#: From the weakest on.
ORDER: Final = ("BROKEN", "REFUSED", "OUTDATED", "INTACT", "INCLUDED", "COMPLETE")


def weakest(statuses: Sequence[str]) -> str:
    """Return the status of several streams."""
    return min(statuses, key=ORDER.index)


def sentence(statuses: Sequence[str]) -> str:
    """Return the verdict on several streams as one sentence."""
    counts = ", ".join(f"{count} {status}" for status in ORDER if (count := statuses.count(status)))
    streams = "1 stream" if len(statuses) == 1 else f"{len(statuses)} streams"
    return f"{weakest(statuses)}, the weakest of {streams}: {counts}"


def refusal(text: str, **members: Any) -> dict[str, Any]:
    """Return what is said of evidence that was not judged, as JSON values."""
    return members | {"status": "REFUSED", "text": text, "broken_at": None, "remarks": []}


def stated_stream(records: Iterator[bytes]) -> str:
    """Return the stream that the first record names, which proves nothing; empty where it names none."""
    try:
        members: Any = canonical.decode(next(records, b""))
        stream = members["integrity"]["stream"]
    except (canonical.NotCanonical, LookupError, TypeError):
        return ""
    return stream if isinstance(stream, str) else ""
