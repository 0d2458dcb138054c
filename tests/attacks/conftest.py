"""Every attack is judged by each machine verifier; all of them have to say the same."""

from pathlib import Path
from typing import Any

import pytest

from support.browser_verifier import judge_with_page
from support.chain_builder import Stream, grown
from support.packages import Judge, judge_with_python, policy_for, whole


@pytest.fixture
def stream() -> Stream:
    """Return the victim: 24 records, the event key rotated by record 10 and record 20."""
    return grown(24, rotate_every=10)


@pytest.fixture(params=["python", "page"])
def judge(request: pytest.FixtureRequest, tmp_path: Path, stream: Stream) -> Judge:
    """Return a function from records (and what lies beside them) to the verdict under the victim's policy."""
    judges = {"python": judge_with_python, "page": judge_with_page}

    def of(records: list[bytes] | None = None, **other: Any) -> dict[str, Any]:
        policy = other.pop("policy", None) or policy_for(stream).canonical
        path = other.pop("path", None)
        trust = {name: other.pop(name) for name in ("revocations", "demands") if name in other}
        if records is not None:
            other["records"] = records
        return judges[request.param](
            path or whole(stream, tmp_path / "evidence.zip", **other), policy, **trust
        )

    return of
