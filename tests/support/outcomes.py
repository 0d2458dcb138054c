"""The row of one fault for the table of all: the ledgers of the simulated devices against the store."""

from linewitness.demo.plant import Plant
from linewitness_selftest.outcome import FaultOutcome
from support.plants import account


def kept(fault: str, plant: Plant, made: set[int], *, injected: int = 1, note: str = "") -> FaultOutcome:
    """Return what came of a fault; everything but losses and doubles fails here, with the whole account."""
    found = account(plant, made)
    if not found.lost and not found.duplicated:
        found.check()
    return FaultOutcome(
        fault=fault,
        injected=injected,
        survived=injected,
        lost=len({*found.lost, *found.told_and_lost}),
        duplicated=len(found.duplicated),
        note=note or f"{found.made} tightenings, {found.changes} changes",
    )
