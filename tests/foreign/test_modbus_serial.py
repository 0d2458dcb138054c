"""A gateway in front of modbus-serial, a Modbus library in JavaScript."""

from pathlib import Path

from support.foreign_oven import changes_and_a_result_reach_the_receipt
from support.foreign_servers import in_node


async def test_whole_way_with_modbus_serial(tmp_path: Path) -> None:
    await changes_and_a_result_reach_the_receipt(tmp_path, *in_node("modbus_serial"))
