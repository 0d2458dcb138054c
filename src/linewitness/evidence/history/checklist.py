"""Read the checklist off a `unit.left`: each requirement, how it was met and by which records.

docs/format.md, section 3.2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from linewitness.evidence.format.record import Scalar, unit_of
from linewitness.evidence.history.met_by import ids_in
from linewitness.evidence.history.values import Place, stated, text_of

_KIND: Final = ".kind"
_DONE: Final = ".done"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRequirement:
    """What a unit left with for one requirement; `count` says how often it was asked for, as the record does.

    `outcome` is one of the record's words, `good` whether the record says that it is well.
    """

    id: str
    kind: str
    title: str
    outcome: str
    good: bool
    done: str
    count: str
    not_ok: str = ""
    met_by: tuple[str, ...] = ()
    left_out: str = ""
    out_of_order: bool = False

    @property
    def how_often(self) -> str:
        """How often it was done, of how often it was asked for."""
        often = f"{self.done} of {self.count}" if self.count else self.done
        return f"{often}, {self.not_ok} not good" if self.not_ok else often


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitChecklist:
    """What one `unit.left` says: one attempt of a unit at a station."""

    unit: str
    station: str
    sequence_no: Place
    occurred_at: str
    attempt: str
    made: str
    complete: bool | None
    overridden_by: str
    override_reason: str
    removed: str
    scrapped: str
    requirements: tuple[CheckedRequirement, ...]

    @property
    def outcome(self) -> str:
        """How the attempt ended, in words."""
        if self.scrapped:
            return "scrapped"
        if self.overridden_by:
            return f"let pass by {self.overridden_by}"
        good = all(one.good for one in self.requirements) if self.complete is None else self.complete
        return "complete" if good else "not complete"

    @property
    def heading(self) -> str:
        """Which attempt it is, and how it ended."""
        attempt = f"attempt {self.attempt}: " if self.attempt else ""
        return f"{attempt}{self.outcome}"


def checklist_of(members: dict[str, Any]) -> UnitChecklist | None:
    """Return the checklist of a parsed `unit.left`; None where it states no requirement."""
    values = stated(members)
    asked = {change["field"]: change for change in members["changes"]}
    requirements = (*_named(values, asked), *_plain(values, asked))
    if not requirements and "attempt" not in values:
        return None
    complete = values.get("complete")
    return UnitChecklist(
        unit=unit_of(members) or "",
        station=members["context"].get("station_id", members["resource"]["id"]),
        sequence_no=members["sequence_no"],
        occurred_at=members["occurred_at"],
        attempt=text_of(values, "attempt"),
        made=", ".join(
            f"{name} {text}" for name in ("product", "order", "batch") if (text := text_of(values, name))
        ),
        complete=complete if isinstance(complete, bool) else None,
        overridden_by=text_of(values, "overridden_by"),
        override_reason=text_of(values, "override_reason"),
        removed=_where_so(values, "removed"),
        scrapped=_where_so(values, "scrapped"),
        requirements=requirements,
    )


def _named(values: dict[str, Scalar], asked: dict[str, dict[str, Any]]) -> Iterator[CheckedRequirement]:
    """Yield the requirements that have an id."""
    for field in asked:
        name = field.removesuffix(_KIND)
        if name in (field, ""):
            continue
        done = asked.get(name + _DONE, {})
        yield CheckedRequirement(
            id=name,
            kind=text_of(values, field),
            title=text_of(values, f"{name}.title") or name,
            outcome=text_of(values, name) or "not stated",
            good=asked.get(name, {}).get("status") == "ok",
            done=text_of(values, name + _DONE),
            count=done.get("low", ""),
            not_ok=text_of(values, f"{name}.not_ok"),
            met_by=ids_in(values.get(f"{name}.met_by")),
            left_out=text_of(values, f"{name}.met_by_left_out"),
            out_of_order=values.get(f"{name}.out_of_order") is True,
        )


def _plain(values: dict[str, Scalar], asked: dict[str, dict[str, Any]]) -> Iterator[CheckedRequirement]:
    """Yield the requirements without an id, which name a device and a kind of result."""
    for field, change in asked.items():
        name = field.removesuffix(_DONE)
        if name in (field, "") or name + _KIND in asked:
            continue
        good = change.get("status") == "ok"
        yield CheckedRequirement(
            id=name,
            kind="measurement" if ".measurement" in name else "tightening" if ".tightening" in name else "",
            title=name,
            outcome="done" if good else "missing",
            good=good,
            done=text_of(values, field),
            count=change.get("low", ""),
            not_ok=text_of(values, f"{name}.not_ok"),
        )


def _where_so(values: dict[str, Scalar], field: str) -> str:
    """Return what a field says that is only there where it is so."""
    value = values.get(field)
    if value is True:
        return "yes"
    return "" if value is False or value == 0 else text_of(values, field)
