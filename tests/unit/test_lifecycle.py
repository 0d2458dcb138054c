"""What the gateway says of its configuration, also where thousands of settings change at once."""

from pathlib import Path
from typing import Any

from linewitness.gateway.lifecycle import Lifecycle, _bounded
from support.clocks import ManualClock
from support.journals import create, members_of, running


def settings(high: int) -> dict[str, Any]:
    return {f"devices.oven.points.zone-{number:05}.high": high for number in range(5_000)} | {"none": None}


async def test_a_table_of_points_that_changed_fits_into_one_record(tmp_path: Path) -> None:
    clock = ManualClock()
    create(tmp_path / "journal", clock)
    async with running(tmp_path / "journal", clock) as journal:
        lifecycle = Lifecycle(journal, clock=clock, gateway="gw-02", config_digest="sha256:1")
        await lifecycle.configured("sha256:1", lambda: settings(1))
        await lifecycle.configured("sha256:1", lambda: settings(99))  # not asked: the digest is the same
        await lifecycle.configured("sha256:2", lambda: settings(2))
    first, second = [each for each in members_of(tmp_path / "journal") if each["kind"] == "config.applied"]
    assert [change["field"] for change in first["changes"]] == ["config"]
    *named, rest, digest = second["changes"]
    assert named[0] == {"field": "devices.oven.points.zone-00000.high", "before": 1, "after": 2}
    assert (rest["field"], digest["after"]) == ("config.changes_not_named", "sha256:2")
    assert len(named) > 100
    assert len(named) + int(rest["after"]) == 5_000


def test_what_a_line_records_is_named_before_other_settings() -> None:
    """Verifiers conclude from these when a point was not recorded."""
    others = {f"devices.a-plc.points.p{number}.scale": "1" for number in range(5000)}
    before = others | {"devices.z-plc.id": "z-plc", "devices.z-plc.points.p.record": "change"}
    named = [change.field for change in _bounded(sorted(before), before, {})]
    assert {"devices.z-plc.id", "devices.z-plc.points.p.record"} <= set(named)
    assert named[-1] == "config.changes_not_named"
    assert named[:-1] == sorted(named[:-1])
