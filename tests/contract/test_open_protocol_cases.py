"""Golden cases as folders: a device in the YAML, what its controller says byte by byte, and what comes of it.

`config.yaml` is the device, `device.yaml` the controller: answers by the first characters of the question
(MID, revision), then what it pushes. `expected.ndjson` holds the events, one a line, or `error.txt` the
sentence with which the driver ends. A telegram is written without its end mark.
"""

import asyncio
import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any, cast

import pytest
from ruamel.yaml import YAML

from linewitness.base.clock import SystemClock
from linewitness.base.errors import DeviceError
from linewitness.devices.open_protocol.driver import OpenProtocolDriver
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.wire.framing import Framer
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station
from support.observations import START
from support.open_protocol_rig import Journal
from support.single_events import single_events

CASES = sorted((Path(__file__).parents[1] / "vectors/open_protocol/cases").iterdir())
REFUSED = "00260004001         {mid}99"


class Controller:
    """Answers by heart."""

    def __init__(self, script: Any) -> None:
        self._answers = script["answers"]
        self._pushes = script.get("pushes", ())
        self._done = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = Framer()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                for raw in framer.feed(data):
                    self._answer(raw[4:].decode("latin-1"), writer)
        writer.close()
        self._done.set()

    def _answer(self, question: str, writer: asyncio.StreamWriter) -> None:
        mid = question[:4]
        if mid == "9999":
            writer.write(b"00209999001         \0")
        if mid in {"9999", "0062", "0072", "0077", "0016", "0053"}:
            return
        key = max((known for known in self._answers if question.startswith(known)), key=len, default="")
        answer = self._answers[key] if key else REFUSED.format(mid=mid)
        writer.write(answer.encode("latin-1") + b"\0")
        if mid == "0060" and answer.startswith("00240005"):
            for push in self._pushes:
                writer.write(push.encode("latin-1") + b"\0")

    async def ended(self) -> None:
        await self._done.wait()


async def observed(case: Path, enough: int) -> list[Any] | str:
    """Return the observations of the first session, or the sentence with which it ended."""
    yaml = YAML(typ="safe")
    controller = Controller(yaml.load(case / "device.yaml"))
    server = await asyncio.start_server(controller.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = {
        "request_timeout_s": 2,
        "back_fill_per_s": 50,
        **yaml.load(case / "config.yaml"),
        "port": port,
    }
    driver = OpenProtocolDriver(OpenProtocolOptions(**settings), clock=SystemClock())
    found = []
    try:
        async with (
            asyncio.timeout(15),
            driver.connect(Journal()) as session,
            contextlib.aclosing(cast(Any, session.observations())) as observations,
        ):
            async for observation in observations:
                found += events_of(observation)
                if observation.confirmable:
                    await session.confirm(observation)
                if len(found) >= enough:
                    break
    except DeviceError as error:
        return str(error).replace(str(port), "PORT")
    finally:
        server.close()
        await controller.ended()
        await server.wait_closed()
    return found


def events_of(observation: Any) -> list[dict[str, Any]]:
    """Return what a station without rules makes of it, less what differs from run to run."""
    outcome = Station(None, {}, shared=SharedState(), state={}, now=START).interpret(observation)
    return [
        {
            "kind": event.kind,
            "resource": shown(event.resource),
            "reason": event.reason,
            "device_time": event.device_time,
            "raw_sha256": None if event.raw is None else hashlib.sha256(event.raw).hexdigest(),
            "changes": [
                {name: value for name, value in change._asdict().items() if value is not None}
                for change in event.changes
            ],
        }
        for event in single_events(outcome.events)
        if event.kind != "clock.status"
    ]


def shown(resource: Any) -> list[str]:
    return [resource.type, resource.id, *(resource.parent or ())]


def test_there_are_cases() -> None:
    assert len(CASES) >= 8


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_a_case_gives_what_is_expected(case: Path) -> None:
    error = case / "error.txt"
    if error.exists():
        assert await observed(case, 1_000) == error.read_text().strip()
        return
    expected = [json.loads(each) for each in (case / "expected.ndjson").read_text().splitlines()]
    assert await observed(case, len(expected)) == expected
