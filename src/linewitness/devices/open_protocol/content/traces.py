"""Traces (0900): kept whole beside the record that says which tightening they belong to."""

from linewitness.devices.base import Observation, Result
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.ledger.known_names import KnownNames
from linewitness.devices.open_protocol.ledger.state import ResultLedger
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram
from linewitness.devices.open_protocol.wire.variable import MalformedVariable, parse_trace

KINDS = {1: "angle", 2: "torque", 3: "current", 4: "gradient", 5: "stroke", 6: "force"}
#: Parameters that turn a sample into a physical value.
SCALES = (("divide", 2213), ("multiply", 2214))


def trace_of(
    received: ReceivedTelegram, facts: SessionFacts, ledger: ResultLedger, known: KnownNames
) -> Observation:
    """Return the record of a trace; it decides nothing about the unit. A repeat is only confirmed."""
    content = received.digest
    if content in known:
        return facts.seen(received)
    try:
        trace = parse_trace(received.telegram)
    except MalformedVariable as error:
        remember = known.add(content)
        return facts.undecodable(received, ledger, str(error), name=f"trace-{known.count}", remember=remember)
    kind = KINDS.get(trace.kind, str(trace.kind))
    name = f"{trace.result_id}-trace-{kind}"
    # Another trace of the same kind is kept too: one of them may be of another life of the ids.
    taken = f"{ledger.epoch}/{name}" in known
    remember = {**known.add(content), **({} if taken else known.add(f"{ledger.epoch}/{name}"))}
    again = f"{name}-{known.count}"
    moment = facts.resolve(trace.time, received.stamp, live=True)
    base = facts.seen(received)
    scale = [(f"scale_{name}", trace.parameters[pid].text) for name, pid in SCALES if pid in trace.parameters]
    return Result(
        device=base.device,
        session_id=base.session_id,
        received=base.received,
        when=moment.when,
        raw=base.raw,
        remember=remember,
        confirmable=True,
        kind="measurement.result",
        source=ledger.source,
        epoch=ledger.epoch,
        result_id=again if taken else name,
        facts=(
            ("tightening_id", trace.result_id),
            ("trace", kind),
            ("trace_unit", trace.unit),
            ("samples", trace.samples),
            *scale,
        ),
        counts=False,
        reason=f"trace of {kind}, kept beside the journal",
    )
