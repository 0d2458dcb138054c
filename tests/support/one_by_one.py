"""Readings one by one, whether the driver gave them together or not."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from linewitness.devices.base import Observation, Readings


def singly(observation: Observation) -> list[Observation]:
    """Return an observation, or each reading that it stands for."""
    return list(observation.singly()) if isinstance(observation, Readings) else [observation]


async def one_by_one(observations: AsyncIterator[Observation]) -> AsyncGenerator[Any, None]:
    """Yield each observation, and readings that came together one after the other."""
    async with aclosing(cast("AsyncGenerator[Observation]", observations)) as stream:
        async for observation in stream:
            for one in singly(observation):
                yield one
