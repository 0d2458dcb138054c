"""`linewitness status` says of a gateway that runs what its status page says."""

import asyncio
import json
from pathlib import Path
from typing import Any

from linewitness.demo.plant import open_plant
from linewitness.status.running_file import FILE_NAME
from support.lines import call, prepare
from support.waiting import until


async def test_status_says_how_the_uplink_is_and_since_when(tmp_path: Path) -> None:
    async with open_plant(tmp_path / "plant") as plant:
        await plant.enroll(prepare)
        await plant.store.start()
        await plant.gateway.start()
        journal = plant.folder / "journal"

        def now() -> dict[str, Any]:
            if not (journal / FILE_NAME).exists():
                return {"uplink": "not said yet"}
            found: dict[str, Any] = json.loads(call("status", journal, "--json").output)["now"]
            return found

        await until(lambda: now()["uplink"] == "up", "the uplink to be up")
        await plant.broker.stop()
        await until(lambda: now()["uplink"] == "away", "the uplink to be away")
        away = now()
        said = (await asyncio.to_thread(call, "status", plant.line_file)).output
        assert f"uplink     away since {away['uplink_since']}: " in said
        assert "warning    the broker is not connected" in said
        assert "to do      records wait in the journal" in said
        await plant.broker.start()
        await until(lambda: now()["uplink"] == "up", "the uplink to be up again")
        assert now()["uplink_since"] > away["uplink_since"]
        await plant.gateway.kill()
        assert (journal / FILE_NAME).exists(), "a gateway that was killed leaves it behind"
        assert json.loads(call("status", journal, "--json").output)["now"] is None
