"""The package of the auditor's walk in docs/auditors.md: a unit with three problems that were planted.

`python -m support.walk` in the folder tests writes it anew.
"""

from pathlib import Path
from typing import Final

from linewitness.evidence.format.record import Change
from support.chain_builder import Stream
from support.line_history import at_station, back, left, line, started, tightened
from support.packages import policy_for, receipt, selection

FOLDER: Final = Path(__file__).parents[2] / "docs" / "walk"
UNIT: Final = "SN0042"
#: By how much the gateway's clock is ahead of the store's, and how long the gateway was off.
AHEAD_S: Final = 3600
OFF_MS: Final = 204_000


def history() -> tuple[Stream, list[int]]:
    """Return the line's stream, and the records of the unit that the plant hands over."""
    stream = line()
    back(stream, "wrench", station_id="bolting")
    made(stream, "SN0041")
    first = len(stream.records)
    at_station(stream, "unit.entered", UNIT, Change("recognised_by", None, "scan"))
    tightened(stream, UNIT)
    tightened(stream, UNIT, ok=False)
    withheld = len(stream.records) - 1
    tightened(stream, UNIT)
    stream.tick(OFF_MS - 2000)
    started(stream, boot=2)
    back(stream, "wrench", station_id="bolting", session_id="s2")
    at_station(stream, "unit.entered", UNIT, Change("recognised_by", None, "scan"))
    tightened(stream, UNIT, session="s2")
    left(stream, UNIT, 3, 1)
    last = len(stream.records) - 1
    made(stream, "SN0043")
    return stream, [at for at in range(first, last + 1) if at != withheld]


def made(stream: Stream, unit: str) -> None:
    """Let a unit pass without any trouble."""
    at_station(stream, "unit.entered", unit, Change("recognised_by", None, "scan"))
    for _ in range(3):
        tightened(stream, unit)
    left(stream, unit, 3)


def write(folder: Path) -> None:
    """Write package and policy."""
    stream, handed_over = history()
    attested = receipt(stream, time_s=stream.now_ms // 1000 - AHEAD_S)
    folder.mkdir(exist_ok=True)
    selection(
        stream,
        folder / "evidence.zip",
        handed_over,
        attested=attested,
        note=f"Unit {UNIT}",
    )
    (folder / "policy.json").write_bytes(policy_for(stream).canonical + b"\n")


if __name__ == "__main__":
    write(FOLDER)
