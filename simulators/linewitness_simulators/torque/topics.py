"""Turn changes at the controller into the telegrams that each subscription asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from linewitness_simulators.torque import cycles, device, fields, variable, wire
from linewitness_simulators.torque.controller import Controller, ControllerChange, ControllerEvent
from linewitness_simulators.torque.model import StoredResult
from linewitness_simulators.torque.session import Maker, Push

#: 0005 with the event's MID confirms any event.
OVERALL: Final = 1201
OF_OBJECT: Final = 1202
TRACE: Final = 900
PLOT: Final = 901
GENERIC_SUBSCRIBE: Final = 8


@dataclass(frozen=True, slots=True)
class Sends:
    """What one change makes a subscription send."""

    mid: int
    ack: int
    values: Callable[[Controller, ControllerEvent], fields.Values]


@dataclass(frozen=True, slots=True)
class Topic:
    """A subscription: its error codes, the MID that ends it, and what it sends. `immediate`: at once, too."""

    exists: int
    missing: int
    end: int
    sends: Mapping[ControllerChange, Sends]
    immediate: ControllerChange | None = None


def _result(controller: Controller, event: ControllerEvent) -> fields.Values:
    return fields.result(controller.station, _made(event))


def _sync(_: Controller, event: ControllerEvent) -> fields.Values:
    return fields.sync_result(_made(event))


def _cycle(controller: Controller, event: ControllerEvent) -> fields.Values:
    return cycles.cycle(controller.station, _made(event))


def _made(event: ControllerEvent) -> StoredResult:
    if event.result is None:
        raise ValueError("a result event without a result")
    return event.result


def _parameter_set(controller: Controller, _: ControllerEvent) -> fields.Values:
    state = controller.state
    return fields.parameter_set(device.parameter_set(controller.setup, state, state.parameter_set))


def _job(controller: Controller, _: ControllerEvent) -> fields.Values:
    job = controller.setup.jobs[controller.state.job]
    return fields.job_info(job, controller.state, controller.times()[1])


def _identifiers(controller: Controller, _: ControllerEvent) -> fields.Values:
    return fields.identifiers(controller.state)


def _identifier_parts(controller: Controller, _: ControllerEvent) -> fields.Values:
    return fields.identifier_parts(controller.state)


def _alarm(controller: Controller, event: ControllerEvent) -> fields.Values:
    return fields.alarm(event.alarm) if event.alarm else _alarm_status(controller, event)


def _alarm_status(controller: Controller, _: ControllerEvent) -> fields.Values:
    raised = controller.alarms[0] if controller.alarms else None
    return fields.alarm_status(raised, controller.times()[1])


TOPICS: Final[Mapping[int, Topic]] = {
    14: Topic(
        13,
        14,
        17,
        {ControllerChange.PARAMETER_SET: Sends(15, 16, _parameter_set)},
        ControllerChange.PARAMETER_SET,
    ),
    34: Topic(18, 19, 37, {ControllerChange.JOB: Sends(35, 36, _job)}),
    51: Topic(6, 7, 54, {ControllerChange.IDENTIFIER: Sends(52, 53, _identifiers)}),
    60: Topic(9, 10, 63, {ControllerChange.RESULT: Sends(61, 62, _result)}),
    70: Topic(
        11,
        12,
        73,
        {
            ControllerChange.ALARM: Sends(71, 72, _alarm),
            ControllerChange.ALARM_STATUS: Sends(76, 77, _alarm_status),
            ControllerChange.ALARM_ACKNOWLEDGED: Sends(74, 75, _alarm),
        },
    ),
    100: Topic(33, 34, 103, {ControllerChange.RESULT: Sends(101, 102, _sync)}),
    105: Topic(71, 72, 109, {ControllerChange.RESULT: Sends(106, 108, _cycle)}),
    151: Topic(43, 44, 154, {ControllerChange.IDENTIFIER: Sends(152, 153, _identifier_parts)}),
}
ENDS: Final[Mapping[int, int]] = {topic.end: mid for mid, topic in TOPICS.items()}
ACKS: Final = frozenset(s.ack for topic in TOPICS.values() for s in topic.sends.values()) | {1203}


def maker(controller: Controller, topic: Topic, revision: int, *, wait: bool) -> Maker:
    """Return what makes the pushes of a fixed-layout subscription."""

    def make(event: ControllerEvent) -> list[Push]:
        sends = topic.sends.get(event.change)
        if sends is None:
            return []
        known = wire.nearest_layout(sends.mid, revision)
        telegram = wire.encode(controller.faults, sends.mid, known, sends.values(controller, event))
        number = event.result.id if event.result and sends.mid in (61, 106) else None
        return [Push(sends.mid, telegram, frozenset({sends.ack}), number, wait)]

    return make


def operation_results(controller: Controller, revision: int, *, objects: bool) -> Maker:
    """Return what makes 1201 and its 1202 of each result."""

    def make(event: ControllerEvent) -> list[Push]:
        if event.change is not ControllerChange.RESULT:
            return []
        made = _made(event)
        return [
            Push(mid, telegram, frozenset({1203}), made.id if mid == OVERALL else None)
            for mid, telegram in operation(
                controller, made, revision, objects=objects, request=GENERIC_SUBSCRIBE
            )
        ]

    return make


def operation(
    controller: Controller, made: StoredResult, revision: int, *, objects: bool, request: int
) -> list[tuple[int, bytes]]:
    """Return 1201 and, where asked for, its 1202, each with its MID."""
    total = 1 + (made.spindles if objects else 0)
    stored = own_results(controller)
    data = variable.overall(made, stored, controller.station, revision=revision, request=request, total=total)
    telegrams = [(OVERALL, wire.compose(OVERALL, revision, data))]
    for n in range(1, total):
        part = variable.of_object(made, n, revision=revision, total=total)
        telegrams.append((OF_OBJECT, wire.compose(OF_OBJECT, revision, part)))
    return telegrams


def traces(controller: Controller, kinds: tuple[int, ...]) -> Maker:
    """Return what makes a 0900 of each trace type of each result."""

    def make(event: ControllerEvent) -> list[Push]:
        if event.change is not ControllerChange.RESULT:
            return []
        made, tool = _made(event), controller.setup.tool
        telegrams = [wire.compose(TRACE, 1, variable.trace(made, kind, tool)) for kind in kinds]
        return [Push(TRACE, telegram, frozenset(), made.id) for telegram in telegrams]

    return make


def plots(event: ControllerEvent) -> list[Push]:
    """Make a 0901 of each result."""
    if event.change is not ControllerChange.RESULT:
        return []
    made = _made(event)
    return [Push(PLOT, wire.compose(PLOT, 1, variable.plot(made)), frozenset(), made.id)]


def own_results(controller: Controller) -> list[StoredResult]:
    """Return what is stored of this station, oldest first."""
    station = controller.options.station.station_id
    return [r for _, r in sorted(controller.memory.stored.items()) if r.station_id == station]
