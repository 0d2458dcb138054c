"""What a station refuses is counted for its device, and logged once an hour."""

import pytest

from linewitness.gateway.intake.bindings import BindingWatch
from linewitness.stations.outcome import StationOutcome
from linewitness.status.health import Health


async def test_a_refused_part_shows_in_the_log_and_in_the_count(capfd: pytest.CaptureFixture[str]) -> None:
    health = Health()
    health.device("reader-10", "up", "")
    watch = BindingWatch("reader-10", health)
    for number in range(3):
        watch.note(StationOutcome(refusals=[f"P1 {number}: it is in SN0001 already"]))
    watch.note(StationOutcome())
    assert health.devices["reader-10"].refusals == 3
    said = capfd.readouterr()
    assert (said.out + said.err).count("the station refused something") == 1
    assert "it is in SN0001 already" in said.out + said.err
