"""Put values, changes and times of a record into words for people, escaped for the report's page."""

from datetime import UTC, datetime
from html import escape
from typing import Any, Final

BAD: Final = frozenset(("low", "high", "nok"))
_FEW_SECONDS: Final = 20.0


def changes_of(record: dict[str, Any]) -> str:
    """Return what was measured or altered line by line, and everything else run in below."""
    first: list[str] = []
    others: list[str] = []
    for change in record["changes"]:
        stands_out = change["before"] is not None or change.keys() & {"status", "low", "high", "unit"}
        (first if stands_out else others).append(_change(change, stands_out=bool(stands_out)))
    rest = f'<span class="quiet">{" · ".join(others)}</span>' if first else " · ".join(others)
    return "<br>".join([*first, *([rest] if others else [])])


def _change(change: dict[str, Any], *, stands_out: bool) -> str:
    before = "" if change["before"] is None else f"{_text(change['before'])} → "
    unit = f" {change['unit']}" if "unit" in change else ""
    text = escape(f"{before}{_text(change['after'])}{unit}{_limits(change)}")
    name = escape(change["field"])
    if change.get("status") in BAD:
        return f'<span class="nok">{name}: {text} {escape(change["status"])}</span>'
    return f"{name}: <b>{text}</b>" if stands_out else f"{name}: {text}"


def _limits(change: dict[str, Any]) -> str:
    match change.get("low"), change.get("high"):
        case None, None:
            return ""
        case low, None:
            return f" [at least {low}]"
        case None, high:
            return f" [at most {high}]"
        case low, high:
            return f" [{low} … {high}]"


def _text(value: object) -> str:
    return "–" if value is None else str(value)


def tick(time_s: float) -> str:
    """Return a time with its day."""
    try:
        return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return f"{time_s} s after 1970, which is no date"


class Ticks:
    """Label times from left to right: the day only where it begins, tenths only where seconds are few."""

    def __init__(self, span_s: float) -> None:
        """Take the seconds from the first time to the last."""
        self._tenths = span_s < _FEW_SECONDS
        self._day = ""

    def __call__(self, time_s: float) -> str:
        """Return the label of the next time to the right."""
        moment = datetime.fromtimestamp(time_s, UTC)
        day, self._day = self._day, f"{moment:%Y-%m-%d}"
        text = f"{moment:%H:%M:%S}" + (f".{moment.microsecond // 100_000}" if self._tenths else "")
        return text if day == self._day else f"{self._day} {text}"


def time_of(text: str) -> str:
    """Return a record's time for people: the page says that all times are UTC."""
    return escape(text.replace("T", " ").removesuffix("Z"))
