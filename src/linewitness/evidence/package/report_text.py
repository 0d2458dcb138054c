"""Words and looks of the report's page: verdicts, values, changes and times, escaped, and the style."""

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

from linewitness.evidence.verify.verdict import Verdict

BAD: Final = frozenset(("low", "high", "nok"))
MAX_REMARKS: Final = 50
_FEW_SECONDS: Final = 20.0

#: On a screen and on paper.
STYLE: Final = """
:root { --ink: #1b2430; --quiet: #5b6675; --line: #d5dbe3; --good: #1f7a43; --bad: #b3261e; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 4rem; color: var(--ink); background: #fff;
  font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .3rem; } h4 { font-size: .92rem; margin: 1rem 0 .2rem; }
a { color: inherit; }
.quiet { color: var(--quiet); }
.verdict { border: 1px solid var(--line); border-left: 10px solid var(--quiet); border-radius: 8px;
  padding: .9rem 1.2rem; margin: 1.2rem 0; }
.COMPLETE, .INCLUDED { border-left-color: var(--good); } .INTACT { border-left-color: #a86a00; }
.BROKEN { border-left-color: var(--bad); }
.gap { background: #fdecea; } .gap td:first-child { border-left: 4px solid var(--bad); padding-left: .5rem; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; }
th { text-align: left; color: var(--quiet); font-weight: 500; }
th, td { padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: break-word; }
.values { overflow-wrap: anywhere; min-width: 19rem; } .values b { font-weight: 600; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.nok { color: var(--bad); font-weight: 600; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; } svg { max-width: 100%; height: auto; }
svg text { font-size: 12px; fill: currentColor; } svg .tick { fill: var(--quiet); font-size: 11px; }
svg .title { font-weight: 600; } svg .lane { stroke: var(--line); } svg .band { fill: #dceee2; }
svg .lost { fill: #f3b4ae; } svg .plain { fill: #7b8797; } svg .ok { fill: var(--good); }
svg circle.nok, svg circle.gap { fill: var(--bad); }
.verdict table { margin-top: .7rem; }
@page { size: A4; margin: 14mm 12mm; }
@media print { body { max-width: none; padding: 0; font-size: 10.5px; } h1 { font-size: 18px; }
  h2 { font-size: 13px; margin: 1.3rem 0 .3rem; break-after: avoid; }
  h3, h4 { break-after: avoid; } table { font-size: 9.5px; }
  tr, svg, .verdict { break-inside: avoid; } .plots { gap: .5rem 2%; } .plots svg { width: 49%; }
  .values { min-width: 11rem; } thead { display: table-header-group; } }
"""


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


def verdict_boxes(verdicts: Mapping[str, Verdict | None]) -> str:
    """Return what was found of each of several streams when the report was written."""
    return "".join(f"<h3>{escape(origin)}</h3>{verdict_box(one)}" for origin, one in verdicts.items())


def verdict_box(verdict: Verdict | None) -> str:
    """Return what was found of one stream when the report was written."""
    if verdict is None:
        return (
            '<div class="verdict"><b>Not verified when it was written.</b> Check the package yourself.</div>'
        )
    attested = "".join(
        f"<tr><td>{escape(one.party)}</td><td>{escape(one.role)} {escape(one.name)}</td>"
        f'<td class="number">{one.size}</td><td class="number">{tick(one.time_s)}</td></tr>'
        for one in verdict.attestations
    )
    head = "<thead><tr><th>Attested by</th><th>Key</th><th>Records</th><th>At</th></tr></thead>"
    return (
        f'<div class="verdict {verdict.status}"><b>{escape(verdict.text)}</b><br>{_age(verdict)}'
        '<span class="quiet">This is what was found when the report was written. This page proves nothing by'
        " itself: check the package with a verifier of your own.</span>"
        f"{f'<table>{head}{attested}</table>' if attested else ''}{_remarks(verdict)}</div>"
    )


def _age(verdict: Verdict) -> str:
    return f"Age: {escape(verdict.age.text)}.<br>" if verdict.age else ""


def _remarks(verdict: Verdict) -> str:
    said = [
        ("" if one.index is None else f"Record {one.index}: ") + one.text
        for one in verdict.remarks[:MAX_REMARKS]
    ]
    left = len(verdict.remarks) - len(said)
    if left:
        said.append(f"{left} further remarks: ask a verifier.")
    return f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in said)}</ul>" if said else ""
