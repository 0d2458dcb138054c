"""The gateway runs without the extra for its page, and says so once."""

from types import SimpleNamespace

import structlog

from linewitness.config.models import StatusOptions
from linewitness.gateway import caretaker
from linewitness.gateway.caretaker import Caretaker


def attended(**status):
    config = SimpleNamespace(status=StatusOptions(**status))
    nothing = dict.fromkeys(("journal", "telemetry", "health", "board", "dialling", "clock"))
    return Caretaker(config=lambda: config, **nothing)


async def test_without_the_extra_the_page_is_off_and_that_is_said(monkeypatch):
    monkeypatch.setattr(caretaker, "find_spec", lambda _name: None)
    with structlog.testing.capture_logs() as said:
        await attended()._serve_page(None)
    assert [entry["event"] for entry in said] == ["status page is off"]
    assert "linewitness[status]" in said[0]["hint"]


async def test_a_page_that_nobody_wants_is_not_mentioned():
    with structlog.testing.capture_logs() as said:
        await attended(enabled=False)._serve_page(None)
    assert said == []
