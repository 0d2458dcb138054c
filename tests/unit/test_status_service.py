"""The gateway runs without the extra for its page, and logs that once."""

from typing import Any, cast

import pytest
import structlog

from linewitness.status import service
from linewitness.status.options import StatusOptions
from linewitness.status.service import serve_status_page


async def test_without_the_extra_the_page_is_off_and_that_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "find_spec", lambda _name: None)
    with structlog.testing.capture_logs() as said:
        await serve_status_page(cast(Any, None), StatusOptions())
    assert [entry["event"] for entry in said] == ["status page is off"]
    assert "linewitness[status]" in said[0]["hint"]


async def test_a_page_that_is_disabled_is_not_mentioned() -> None:
    with structlog.testing.capture_logs() as said:
        await serve_status_page(cast(Any, None), StatusOptions(enabled=False))
    assert said == []
