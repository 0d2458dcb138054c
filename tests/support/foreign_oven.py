"""An oven on a Modbus server of another maker: set point, batch, and cycles that it wants confirmed."""

from functools import partial
from pathlib import Path

from support.foreign_line import foreign_line
from support.foreign_servers import served
from support.waiting import until_answer

DEVICE = """\
  - id: oven-1
    driver: modbus
    host: 127.0.0.1
    port: {port}
    period_ms: 100
    points:
      - {{id: set-point, record: change, address: 60, type: int16, scale: 0.1, unit: °C, low: 150, high: 220}}
      - {{id: energy, record: change, address: 62, type: uint32, order: CDAB, unit: Wh}}
      - {{id: batch, record: change, address: 64, type: string, length: 4}}
    results:
      - id: cycle
        pattern: counter
        counter: {{address: 70}}
        handshake: 75
        ok_field: good
        fields:
          - {{id: peak, address: 71, type: int16, scale: 0.1, unit: °C, low: 178, high: 192}}
          - {{id: good, address: 72, type: uint16}}
"""


async def changes_and_a_result_reach_the_receipt(folder: Path, *command: str) -> None:
    """Change values at the server that a command starts, and let it complete a cycle.

    AssertionError unless the store holds all of it under its receipt, and the server got its confirmation.
    """
    async with served(*command) as oven:
        # 180.5 °C, 65 538 Wh with the low word first, batch "A7".
        for register, value in {60: 1805, 62: 2, 63: 1, 64: 0x4137, 65: 0}.items():
            oven.tell(f"{register} {value}")
        assert await oven.ask("60") == "1805"
        async with foreign_line(folder, DEVICE.format(port=oven.port)) as line:
            for point, shown in {"set-point": "180.5", "energy": "65538", "batch": "A7"}.items():
                await line.change(point, shown)
            oven.tell("60 2305")
            changed = await line.change("set-point", "230.5")
            assert (changed["before"], changed["unit"], changed["status"]) == ("180.5", "°C", "high")
            for register, value in {71: 1851, 72: 1, 70: 1}.items():
                oven.tell(f"{register} {value}")
            await line.record("measurement.result", peak="185.1", result="ok")
            await until_answer(partial(oven.ask, "75"), "1")
            # The PLC says good of a value beyond our limit: the stricter verdict counts, and both are shown.
            for register, value in {71: 1951, 72: 1, 70: 2}.items():
                oven.tell(f"{register} {value}")
            both = {"result.plc": "ok", "result.limits": "nok", "result.decided_by": "stricter"}
            await line.record("measurement.result", peak="195.1", result="nok", **both)
            await until_answer(partial(oven.ask, "75"), "2")
            await line.check()
