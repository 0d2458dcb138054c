"""All kinds of requirements, as the YAML may name them."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from linewitness.stations.checklist.options import ComponentRequirement, ResultRequirement, SignOffRequirement
from linewitness.stations.checklist.timed_options import (
    AfterRequirement,
    CheckRequirement,
    ConditionRequirement,
    WaitRequirement,
)


def _with_kind(requirement: Any) -> Any:
    """Let an entry without a kind be a tightening, as the shortest YAML has it."""
    if isinstance(requirement, dict) and "kind" not in requirement:
        return {"kind": "tightening", **requirement}
    return requirement


Requirement = (
    ResultRequirement
    | ComponentRequirement
    | SignOffRequirement
    | ConditionRequirement
    | CheckRequirement
    | WaitRequirement
    | AfterRequirement
)
AnyRequirement = Annotated[
    Annotated[Requirement, Field(discriminator="kind")],
    BeforeValidator(_with_kind),
]
