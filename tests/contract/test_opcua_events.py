"""Alarms, and who wrote what, over real sockets."""

from pathlib import Path
from typing import Any

from linewitness.devices.base import Notice
from linewitness.devices.opcua.connection.wire import Client
from linewitness_simulators.press.server import PressSimulation, serve
from support.opcua_rig import Memory, client_files, listening, of_type, options, point, reading

STILL = PressSimulation(tick_s=0)
ALARMS = {"id": "alarms", "node": "i=2253", "record": "alarm"}


def told(notice: Notice) -> tuple[str, str, Any, str | None]:
    return notice.kind, notice.resource_id, notice.changes[0], notice.operator


async def test_alarm_is_raised_acknowledged_by_somebody_and_cleared() -> None:
    async with serve(STILL) as press, listening(options(press, ALARMS, point("Holding"))) as ear:
        await ear.first(reading("holding"))
        await press.alarm("Overheated", active=True, message="oil at 78 C")
        raised = await ear.first(of_type(Notice))
        assert told(raised) == ("alarm.raised", "Press/Overheated", ("active", False, True), None)
        assert raised.reason == "oil at 78 C"
        assert raised.when.occurred_from == "device"
        await press.alarm("Overheated", active=True, acked=True, user="anna.b", comment="cooler on")
        acked = await ear.first(of_type(Notice))
        assert told(acked) == (
            "parameter.changed",
            "Press/Overheated",
            ("acknowledged", False, True),
            "anna.b",
        )
        assert acked.reason == "cooler on"
        await press.alarm("Overheated", active=False, acked=True)
        cleared = await ear.first(of_type(Notice))
        assert told(cleared)[:3] == ("alarm.cleared", "Press/Overheated", ("active", True, False))
        assert cleared.remember == {"alarm.alarms.Press/Overheated": None}


async def test_alarm_that_stands_is_told_once_over_reconnects() -> None:
    async with serve(STILL) as press:
        await press.alarm("Overheated", active=True)
        settings, memory = options(press, ALARMS, point("Holding")), Memory()
        async with listening(settings, memory) as ear:
            assert (await ear.first(of_type(Notice))).kind == "alarm.raised"
        async with listening(settings, memory) as ear:
            await ear.first(reading("holding"))
            await press.alarm("DoorOpen", active=True)
            found = await ear.first(of_type(Notice))
            assert (found.kind, found.resource_id) == ("alarm.raised", "Press/DoorOpen")


async def test_alarm_that_cleared_while_nobody_listened_is_told() -> None:
    async with serve(STILL) as press:
        await press.alarm("Overheated", active=True)
        settings, memory = options(press, ALARMS), Memory()
        async with listening(settings, memory) as ear:
            await ear.first(of_type(Notice))
        await press.alarm("Overheated", active=False, acked=True)
        async with listening(settings, memory) as ear:
            found = await ear.first(of_type(Notice))
            assert told(found)[:2] == ("alarm.cleared", "Press/Overheated")


async def test_audit_event_says_who_changed_a_value(tmp_path: Path) -> None:
    simulation = PressSimulation(
        tick_s=0, audit=True, certificates=tmp_path / "press", users={"anna": "secret", "us": "pw"}
    )
    (tmp_path / "pw").write_text("pw")
    async with serve(simulation) as press:
        security = {
            "policy": "basic256sha256",
            **client_files(tmp_path),
            "server_certificate": tmp_path / "press" / "server.der",
        }
        user = {"name": "us", "password": {"file": tmp_path / "pw"}}
        settings = options(
            press, point("Holding"), audit=True, security=security, user=user, publishing_ms=800
        )
        # The report comes after the change, often one delivery later.
        press.audit_delay_s = 0.25
        async with listening(settings) as ear:
            await ear.first(reading("holding"))
            writer = Client(press.url)
            writer.set_user("anna")
            writer.set_password("secret")
            async with writer:
                node = writer.get_node("ns=2;s=Press.Holding")
                for number in (131.5, 132.5, 133.5, 134.5):
                    await node.write_value(number)
                    found = await ear.first(reading("holding", str(number)))
                    assert (found.operator, found.operator_by) == ("anna", "device")
            await press.set("Holding", 90.0)
            assert (await ear.first(reading("holding", "90"))).operator is None
