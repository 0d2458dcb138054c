"""A gateway in front of libmodbus, the Modbus library in C."""

from pathlib import Path

from support.foreign_oven import changes_and_a_result_reach_the_receipt
from support.foreign_servers import compiled


async def test_whole_way_with_libmodbus(tmp_path: Path) -> None:
    """Its servers answer one client at a time, as many devices do."""
    await changes_and_a_result_reach_the_receipt(tmp_path, compiled("libmodbus", tmp_path, "libmodbus"))
