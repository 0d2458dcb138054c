"""A result whose name is taken: it may be another one or a repeat, so it is recorded and decides nothing."""

from collections.abc import Iterator
from dataclasses import replace

from linewitness.devices.base import Notice, Observation, Result
from linewitness.devices.open_protocol.content.facts import at_reception


def undecided(result: Result, number: int, reason: str) -> Iterator[Observation]:
    """Yield that there is a conflict, then the result under a name that `number` makes unique."""
    name = f"{result.result_id}-conflict-{number}"
    yield Notice(
        device=result.device,
        session_id=result.session_id,
        received=result.received,
        when=at_reception(result.received),
        kind="source.conflict",
        resource_type="source",
        resource_id=f"{result.source}/{result.epoch}/{result.result_id}",
        changes=(("recorded_as", None, name),),
        reason=reason,
    )
    facts = (*result.facts, ("conflict", reason))
    yield replace(result, result_id=name, counts=False, facts=facts, reason=reason)
