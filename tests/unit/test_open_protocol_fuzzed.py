"""What the fuzzer found once stays found: its target runs over the cases, and over noise of hypothesis."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewitness.devices.open_protocol.ledger.state import ResultCore
from linewitness.devices.open_protocol.session.capture import ControllerCapture

sys.path.append(str(Path(__file__).parents[1] / "fuzz"))
import open_protocol_target as target

CASES = sorted((Path(__file__).parents[1] / "vectors/open_protocol/fuzzed").glob("*.bin"))


@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_a_finding_of_the_fuzzer_is_mended(case: Path) -> None:
    target.test_one(case.read_bytes())


@given(st.binary(max_size=2000))
@settings(max_examples=50, deadline=None)
def test_noise_keeps_all_promises(data: bytes) -> None:
    target.test_one(data)


@given(st.lists(st.text(alphabet="|%7C25 0"), min_size=6, max_size=6))
def test_what_is_remembered_of_a_result_is_read_back_as_it_was(parts: list[str]) -> None:
    core = ResultCore(*parts)
    assert ResultCore.parse(str(core)) == core


def test_the_target_notices_a_push_that_is_not_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControllerCapture, "_unread", lambda *_: [])
    with pytest.raises(AssertionError, match="0 confirmations"):
        target.test_one(b"\x00" + b"00280061001         nonsense")
