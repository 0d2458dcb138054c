"""Spoil packages and policies at random: the two machine verifiers must never differ."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.browser_verifier import judge_all_with_page
from support.mutants import spoiled_contents
from support.packages import judge_with_python


@pytest.mark.parametrize("seed", [1, 2])
def test_verifiers_agree_on_spoiled_evidence(tmp_path: Path, seed: Any) -> None:
    made = spoiled_contents(tmp_path, seed, 150)
    seen = set()
    for (path, policy, came), page in zip(made, judge_all_with_page(made), strict=True):
        late = came.read_bytes().decode("utf-8", "replace")
        python = judge_with_python(path, policy.read_bytes(), [late])
        python = json.loads(json.dumps(python))
        for member in ("status", "broken_at", "attested", "contents", "without_capture", "age", "seen_late"):
            assert python.get(member) == page.get(member), (member, path, python, page)
        seen.add(python["status"])
    assert {"COMPLETE", "BROKEN", "REFUSED"} <= seen
