"""A line with every driver: the demo's plant and a scale, and work at all of them."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from linewitness_simulators.scale.server import RunningScale, ScaleSimulation
from linewitness_simulators.scale.server import serve as serve_scale
from support.plants import Load, change, new_plant

_SCALE = """
  - id: scale-10
    driver: mt_sics
    host: 127.0.0.1
    port: {port}
    trigger: key

"""


@asynccontextmanager
async def full_plant(folder: Path) -> AsyncIterator[Any]:
    """Start devices and broker of a line with a scale; gateway and store do not run yet."""
    async with new_plant(folder) as plant, serve_scale(ScaleSimulation()) as scale:
        change(plant, "\n  - id: oven-10\n", f"{_SCALE.format(port=scale.port)}  - id: oven-10\n")
        change(plant, "    start_after: 0 ", "    back_fill_per_s: 50\n    start_after: 0 ")
        yield plant, scale


@dataclass
class FullLoad(Load):
    """Work at all devices. Each scan and each weight is another, so that one on record twice is seen."""

    scale: RunningScale = field(default=cast(Any, None))
    scans: set[str] = field(default_factory=set)
    weights: set[str] = field(default_factory=set)

    async def step(self) -> None:
        await super().step()
        grams = Decimal(self.steps).scaleb(-2)
        self.scale.load(grams)
        self.scale.press_print()
        self.weights.add(str(grams))

    async def next_unit(self) -> str:
        serial = await super().next_unit()
        self.scans.add(serial)
        return serial


@dataclass(frozen=True)
class Fleeting:
    """What devices without a memory said once: how much of it is on record, what twice, what never was."""

    scans: int
    weights: int
    twice: list[str]
    invented: list[str]


def fleeting(records: Sequence[dict[str, Any]], load: FullLoad) -> Fleeting:
    """Compare scans and weights on record with those that were made."""
    scans = Counter(r["changes"][0]["after"] for r in records if r["kind"] == "unit.entered")
    weights = Counter(r["changes"][0]["after"] for r in records if r["kind"] == "measurement.result")
    return Fleeting(
        scans=len(scans),
        weights=len(weights),
        twice=sorted(key for found in (scans, weights) for key, count in found.items() if count > 1),
        invented=sorted((scans.keys() - load.scans) | (weights.keys() - load.weights)),
    )
