"""A line with a device of another maker: real processes, and evidence up to the receipt."""

import shutil
from collections.abc import AsyncIterator, ItemsView
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from linewitness.demo.broker import Mosquitto
from linewitness.demo.plant import _VKEY, STORE_NAME, Plant, free_port
from linewitness.evidence.format.record import parse
from support.lines import prepare
from support.plants import attested_to_the_end, held, said, stopped
from support.present import present
from support.waiting import until

LINE = """\
version: 1
line:
  tenant: acme
  plant: ber-01
  line: line-02
  gateway: gw-02
  origin: acme.example/ber-01/line-02/1
journal:
  directory: journal
uplink:
  url: mqtt://127.0.0.1:{port}
store:
  vkey: {vkey}
devices:
{devices}
"""
STORE = """\
database: sqlite:///store.db
name: {name}
key: {{file: store.key}}
mqtt: {{url: mqtt://127.0.0.1:{port}}}
"""


class ForeignLine:
    """A running gateway and store, and what was found on record so far."""

    def __init__(self, plant: Plant) -> None:
        """Use `foreign_line` instead."""
        self.plant = plant
        self._read: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []

    async def record(self, kind: str, **after: object) -> dict[str, Any]:
        """Wait for a record of a kind with these values after the change, and return it."""

        def wanted() -> list[dict[str, Any]]:
            with self.plant.journal() as journal:
                self._read += [parse(data) for _, data in journal.records(len(self._read))]
            return [each for each in self._read if each["kind"] == kind and after.items() <= _after(each)]

        await until(wanted, lambda: f"{kind} with {after}; {said(self.plant)[-3000:]}")
        self._found.append(wanted()[0])
        return self._found[-1]

    async def change(self, point: str, after: object) -> dict[str, Any]:
        """Wait for the record of a point's change to a value, and return its change."""
        record = await self.record("parameter.changed", **{point: after})
        [change] = [each for each in record["changes"] if each["field"] == point]
        return cast(dict[str, Any], change)

    async def check(self) -> None:
        """Stop the gateway, and fail unless the store holds what was found and its receipt covers it."""
        await self.plant.receipted(1 + max(record["sequence_no"] for record in self._found))
        assert await stopped(self.plant) == 0, said(self.plant)
        store = held(self.plant)
        for record in self._found:
            assert store.records[record["sequence_no"]] == record
            assert record["sequence_no"] < store.verdict.attested
        assert attested_to_the_end(store), store.verdict
        assert await prepare("verify", self.plant.line_file)


def _after(record: dict[str, Any]) -> ItemsView[str, object]:
    """Return the fields of a record with their values after the change."""
    return {change["field"]: change["after"] for change in record["changes"]}.items()


@asynccontextmanager
async def foreign_line(folder: Path, devices: str) -> AsyncIterator[ForeignLine]:
    """Run mosquitto, a store, and a gateway whose YAML has these devices."""
    port = free_port()
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    broker = Mosquitto(folder, port, Path(present(program)))
    plant = Plant(folder, cast(Any, None), broker)
    plant.line_file.write_text(LINE.format(port=port, vkey=_VKEY, devices=devices), encoding="utf-8")
    plant.store_file.write_text(STORE.format(port=port, name=STORE_NAME), encoding="utf-8")
    await plant.enroll(prepare)
    await broker.start()
    try:
        await plant.store.start()
        await plant.gateway.start()
        yield ForeignLine(plant)
    finally:
        await plant.gateway.kill()
        await plant.store.stop()
        await broker.stop()
