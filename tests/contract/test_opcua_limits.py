"""What a server may send too much of, or in the wrong form, and what the session makes of it."""

from typing import Any

import pytest

from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.opcua.connection.bounded import MAX_MESSAGE_BYTES
from linewitness_simulators.press.server import PressSimulation, serve
from support.opcua_rig import Memory, listening, options, point, reading


async def listen_to_what_grows(press: Any, settings: Any, memory: Any) -> None:
    async with listening(settings, memory) as ear:
        await ear.first(reading("serial"))
        await press.set("Serial", "A" * (MAX_MESSAGE_BYTES + 1))
        await ear.end()


async def test_a_value_beyond_the_limit_ends_the_session_in_words() -> None:
    memory = Memory()
    async with serve(PressSimulation(tick_s=0)) as press:
        settings = options(press, point("Serial"))
        with pytest.raises(DeviceUnavailable, match=r"sent a message of more than 4 MiB") as caught:
            await listen_to_what_grows(press, settings, memory)
        assert "single fields" in caught.value.hint
        await press.set("Serial", "B-7")
        async with listening(settings, memory) as ear:
            await ear.first(reading("serial", "B-7"))


async def test_a_text_in_another_encoding_is_captured_with_its_bytes_in_sight() -> None:
    async with serve(PressSimulation(tick_s=0)) as press, listening(options(press, point("Serial"))) as ear:
        await ear.first(reading("serial"))
        await press.set("Serial", b"M\xfcnchen".decode("utf-8", "surrogateescape"))  # sent as it is
        await ear.first(reading("serial", "M\\xfcnchen"))
