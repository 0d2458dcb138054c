"""Units with a checklist and components, as a station records them: for journals and for gateways."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.journal.submission import Submission
from support.chain_builder import ulid
from support.clocks import ManualClock
from support.fake_gateway import FakeGateway
from support.journals import create, reopen

STATION = "bolting"
DEVICE = Actor("device", "scan-10")
PERSON = Actor("user", "B-17", auth_method="badge")


@dataclass
class Line:
    """Events in their order, each with an id that later ones name."""

    events: list[Event] = field(default_factory=list)

    def add(
        self, kind: str, resource: Resource, *changes: Change, reason: str = "scanned", actor: Actor = DEVICE
    ) -> str:
        event_id = ulid(len(self.events))
        self.events.append(
            Event(
                kind=kind,
                occurred_ns=ManualClock().realtime_ns + len(self.events) * 1_000_000_000,
                occurred_from="gateway",
                actor=actor,
                resource=resource,
                reason=reason,
                changes=changes,
                context={"station_id": STATION, "device_id": "scan-10"},
                event_id=event_id,
            )
        )
        return event_id

    def loaded(self, part: str, lot: str, before: str | None = None) -> str:
        stated = Change("part", None, part), Change("lot", before, lot), Change("quantity", None, "250")
        return self.add("material.loaded", Resource("material", f"{part}/{lot}"), *stated)

    def entered(self, unit: str) -> None:
        self.add("unit.entered", at_station(unit))

    def component(self, kind: str, unit: str, part: str, /, *, serial: str | None, lot: str) -> str:
        values = {"part": part, "serial": serial, "lot": lot, "quantity": "1", "position": "A1"}
        known = {name: value for name, value in values.items() if value is not None}
        gone = kind == "component.removed"
        changes = [
            Change(name, value, None) if gone else Change(name, None, value) for name, value in known.items()
        ]
        return self.add(
            kind,
            Resource("component", f"{part}/{serial or lot}", ("unit", unit)),
            *changes,
            reason="damaged" if gone else "scanned",
        )

    def installed(self, unit: str, part: str, serial: str | None, lot: str) -> str:
        return self.component("component.installed", unit, part, serial=serial, lot=lot)

    def removed(self, unit: str, part: str, serial: str | None, lot: str) -> str:
        return self.component("component.removed", unit, part, serial=serial, lot=lot)

    def left(self, unit: str, attempt: int = 1, /, *more: Change, **met_by: str) -> str:
        """Let a unit leave; each further keyword is a requirement, met by these records or `missing`."""
        complete = "missing" not in met_by.values()
        changes = [
            *(Change("results_ok", None, 0), Change("results_not_ok", None, 0)),
            *(Change("attempt", None, attempt), Change("complete", None, complete), *more),
        ]
        for name, ids in met_by.items():
            changes += requirement(name, ids)
        return self.add("unit.left", at_station(unit), *changes)

    def into_journal(self, directory: Path) -> None:
        """Write a journal with these events, a commit each."""
        clock = ManualClock()
        create(directory, clock)
        file = reopen(directory, clock)
        for event in self.events:
            file.append([Submission(events=(event,))])
            clock.advance_ns(1_000_000_000)
        file.close()

    def into_gateway(self, gateway: FakeGateway) -> None:
        """Let a gateway write these events."""
        for event in self.events:
            resource: dict[str, Any] = {"type": event.resource.type, "id": event.resource.id}
            if event.resource.parent:
                resource["parent"] = dict(zip(("type", "id"), event.resource.parent, strict=True))
            gateway.append(
                event.kind,
                changes=event.changes or (Change("seen", None, after=True),),
                event_id=event.event_id,
                resource=resource,
                reason=event.reason,
                context=dict(event.context),
            )


def at_station(unit: str) -> Resource:
    return Resource("station", STATION, ("unit", unit))


def requirement(name: str, met_by: str) -> list[Change]:
    """Return what `unit.left` says of a requirement that these records met, or that is `missing`."""
    done = met_by != "missing"
    status = "ok" if done else "nok"
    stated = [
        Change(name, None, "done" if done else "missing", status=status),
        Change(f"{name}.kind", None, "component"),
        Change(f"{name}.title", None, f"the {name}"),
        Change(f"{name}.done", None, len(met_by.split()) if done else 0, low="1", status=status),
    ]
    return [*stated, Change(f"{name}.met_by", None, met_by)] if done else stated


def kitting() -> Line:
    """Return four units with seals of two lots, glue of two lots, and a cap whose lot has a seal's name.

    SN1 keeps its seal of L-1; SN2 gets one of L-1 in exchange for one of L-2, SN3 the other way round.
    """
    line = Line()
    glue = line.loaded("glue", "G-7", "G-6")
    line.entered("SN1")
    line.left("SN1", seal=line.installed("SN1", "seal", "S-1", "L-1"), glue=glue)
    for unit, first, second in (
        ("SN2", ("S-2", "L-2"), ("S-3", "L-1")),
        ("SN3", ("S-4", "L-1"), ("S-5", "L-2")),
    ):
        line.entered(unit)
        line.left(unit, seal=line.installed(unit, "seal", *first), glue=glue, test="missing")
        line.entered(unit)
        line.removed(unit, "seal", *first)
        line.left(unit, 2, seal=line.installed(unit, "seal", *second), glue=glue)
    other = line.loaded("glue", "G-8", "G-7")
    line.entered("SN4")
    line.left("SN4", cap=line.installed("SN4", "cap", None, "L-1"), glue=other)
    return line
