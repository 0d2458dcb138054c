"""Let each system call of an operation on the journal fail once, or kill the process there, with strace.

Afterwards: what was told to be durable is in the journal and in the audit store, once; the journal opens as
ever, verifies and goes on; and a process that gave up ended with the code of an unwritable journal.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from linewitness_selftest.auditors import Auditors
from linewitness_selftest.calls.syscalls import OPERATIONS, failing_calls
from linewitness_selftest.outcome import FaultOutcome

#: Of the faults, in the fast share.
SAMPLE = 0.03
SEED = 6


@pytest.mark.parametrize("operation", ["append", "prune"])
async def test_fault_at_a_sample_of_calls_loses_nothing(
    tmp_path: Path, auditors: Auditors, account: Callable[[FaultOutcome], None], operation: str
) -> None:
    outcome = await failing_calls(operation, tmp_path, auditors=auditors, share=SAMPLE, seed=SEED)
    account(outcome)
    assert outcome.injected > 5, outcome


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_fault_at_every_call_loses_nothing(
    tmp_path: Path, auditors: Auditors, account: Callable[[FaultOutcome], None], operation: str
) -> None:
    outcome = await failing_calls(operation, tmp_path, auditors=auditors)
    account(outcome)
    assert outcome.injected > 100, outcome
