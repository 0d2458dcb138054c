"""A gateway in a process of its own that captures one torque controller, and keeps its evidence to itself."""

from pathlib import Path
from typing import Any

from linewitness.demo.plant import Process
from linewitness.journal.reader import JournalReader
from support.lines import prepare
from support.torque_line import fields_of, id_of, records_of

TEMPLATE = """\
version: 1
line: {{tenant: demo, plant: ber-01, line: line-02, gateway: gw-02, origin: demo.example/ber-01/line-02/1}}
journal: {{directory: journal}}
status: {{enabled: false}}
clock: {{chrony: auto}}
stations:
  - id: bolting
    devices: [wrench-10]
    unit: {{pattern: "SN[0-9]+"}}
devices:
  - id: wrench-10
    driver: open_protocol
    host: 127.0.0.1
    port: {port}
    timezone: UTC
    start_after: 0
{settings}
"""


class Gateway:
    """The process, and what its journal holds."""

    def __init__(self, folder: Path, port: int, **settings: Any) -> None:
        self.folder = folder
        lines = "\n".join(f"    {name}: {value}" for name, value in settings.items())
        (folder / "line.yaml").write_text(TEMPLATE.format(port=port, settings=lines))
        self.process = Process("gateway", folder, "run", "line.yaml")

    async def init(self) -> None:
        await prepare("init", self.folder / "line.yaml")

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run one command of `linewitness` and return its exit code and what it printed."""
        process = Process("command", self.folder, *arguments)
        process.log.unlink(missing_ok=True)
        await process.start()
        code = await process.wait()
        return code, process.log.read_text()

    def results(self) -> list[dict[str, Any]]:
        return [each for each in records_of(self.folder / "journal") if fields_of(each).get("decoded", True)]

    def ids(self) -> list[int | str]:
        return [id_of(each)[2] for each in self.results()]

    def size(self) -> int:
        """Return how many records the journal holds, of whatever kind."""
        with JournalReader(self.folder / "journal") as journal:
            return journal.size()

    def said(self) -> str:
        return self.process.log.read_text()
