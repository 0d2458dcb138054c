"""The device history record on the report's page: checklists, genealogy, refusals, overrides, exceptions."""

from collections.abc import Callable, Iterator
from html import escape
from typing import Final
from urllib.parse import quote

from linewitness.evidence.history.checklist import CheckedRequirement, UnitChecklist
from linewitness.evidence.history.components import InstalledComponent
from linewitness.evidence.history.histories import DeviceHistories, DeviceHistory, Meeting
from linewitness.evidence.history.values import Place

#: Returns whether a record has a row in the page's table of records.
HasRow = Callable[[Place], bool]

#: Records that met one requirement and are listed.
MAX_MET_BY: Final = 20
_CHECKLIST: Final = ("Requirement", "Kind", "Outcome", "How often", "Met by", "Who", "When (last)")
_COMPONENTS: Final = (
    "Part",
    "Serial, lot",
    "Quantity",
    "Position",
    "Supplier",
    "Expiry",
    "Installed",
    "Removed",
)
_EVENTS: Final = ("Record", "When", "What", "About", "Who", "Why")


def anchor(sequence_no: Place) -> str:
    """Return the id of a record's row."""
    return f"record-{quote(str(sequence_no))}"


class HistoryPage:
    """Write the section of all device history records."""

    def __init__(self, histories: DeviceHistories, has_row: HasRow) -> None:
        """Take what was collected."""
        self._histories = histories
        self._has_row = has_row

    def section(self) -> str:
        """Return the section, empty where the records have none."""
        parts = [part for history in self._histories.all for part in self._history(history)]
        if not parts:
            return ""
        left = self._histories.left_out
        note = f"<p>{left} further records of checklists and components are in records.ndjson.</p>"
        return "<h2>Device history record: checklist</h2>" + "".join(parts) + (note if left else "")

    def _history(self, history: DeviceHistory) -> Iterator[str]:
        if not (history.checklists or history.genealogy.components or history.events):
            return
        yield f"<h3>{f'Unit {escape(history.unit)}' if history.unit else 'Of no unit'}</h3>"
        chains = history.chains
        if chains:
            lines = (f"<li>{escape(station)}: {escape(chain)}</li>" for station, chain in chains.items())
            yield f"<ul>{''.join(lines)}</ul>"
        for checklist, meetings in history.checklists:
            yield self._checklist(checklist, meetings)
        if history.genealogy.components:
            rows = (self._component(one) for one in history.genealogy.components)
            yield _table("Components", _COMPONENTS, rows)
        if history.events:
            rows = (
                _row(
                    self._record(one.sequence_no),
                    _time(one.at),
                    *map(escape, (one.what, one.about, one.by, one.reason)),
                )
                for one in history.events
            )
            yield _table("Refused, let pass, signed, exceptions", _EVENTS, rows)

    def _checklist(self, checklist: UnitChecklist, meetings: dict[str, Meeting]) -> str:
        rows = (self._requirement(one, meetings) for one in checklist.requirements)
        title = f"{checklist.station}, {checklist.heading}"
        said = [
            f"left at {_time(checklist.occurred_at)}, {self._record(checklist.sequence_no)}",
            escape(checklist.made),
            f"removed: {escape(checklist.removed)}" if checklist.removed else "",
        ]
        if checklist.overridden_by:
            why = escape(checklist.override_reason) or "no reason is stated"
            said.append(f'<span class="nok">let pass by {escape(checklist.overridden_by)}: {why}</span>')
        note = f'<p class="quiet">{"; ".join(each for each in said if each)}</p>'
        return _table(title, _CHECKLIST, rows, note)

    def _requirement(self, one: CheckedRequirement, meetings: dict[str, Meeting]) -> str:
        known = [meetings[each] for each in one.met_by if each in meetings]
        order = "<br>out of order" if one.out_of_order else ""
        title = escape(one.title) + (
            f' <span class="quiet">{escape(one.id)}</span>' if one.title != one.id else ""
        )
        outcome = escape(one.outcome.replace("_", " "))
        return _row(
            title,
            escape(one.kind.replace("_", " ")),
            (outcome if one.good else f'<span class="nok">{outcome}</span>') + order,
            escape(one.how_often),
            self._met_by(one, meetings),
            escape(", ".join(dict.fromkeys(each.by for each in known))),
            _time(max(each.at for each in known)) if known else "",
        )

    def _met_by(self, one: CheckedRequirement, meetings: dict[str, Meeting]) -> str:
        words = [
            self._record(meetings[each].sequence_no) if each in meetings else self._unknown(each)
            for each in one.met_by[:MAX_MET_BY]
        ]
        if (more := len(one.met_by) - len(words)) > 0:
            words.append(f"{more} more in the record")
        if one.left_out:
            words.append(f"{escape(one.left_out)} more, which the record does not name")
        return "<br>".join(words)

    def _unknown(self, event_id: str) -> str:
        where = "not found by this page" if self._histories.forgot else "not in this package"
        return f'{escape(event_id)} <span class="nok">{where}</span>'

    def _component(self, one: InstalledComponent) -> str:
        came = (
            "not in this package"
            if one.installed is None
            else f"{self._event(one.installed, one.at, one.by)}"
        )
        gone = ""
        if one.removal is not None:
            gone = f"{self._event(one.removal, one.removed_at, one.removed_by)}: {escape(one.removed_why)}"
        plain = (one.part or one.id, one.name, one.quantity, one.position, one.supplier, one.expiry)
        return _row(*map(escape, plain), came, gone)

    def _event(self, sequence_no: Place, at: str, by: str) -> str:
        return f"{self._record(sequence_no)}, {_time(at)} by {escape(by)}"

    def _record(self, sequence_no: Place) -> str:
        name = f"record&nbsp;{escape(str(sequence_no))}"
        return f'<a href="#{anchor(sequence_no)}">{name}</a>' if self._has_row(sequence_no) else name


def _time(text: str) -> str:
    return f'<span class="number">{escape(text.replace("T", " ").removesuffix("Z"))}</span>'


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _table(title: str, columns: tuple[str, ...], rows: Iterator[str], note: str = "") -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    return f"<h4>{escape(title)}</h4>{note}<table><thead><tr>{head}</tr></thead>{''.join(rows)}</table>"
