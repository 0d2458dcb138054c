"""A gateway that its store does not know: shown wherever operators look, until it is enrolled."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from linewitness.demo.plant import Plant, open_plant
from support.figures import asked, page_of
from support.lines import call, prepare
from support.plants import Load, account, at_work, held, log_lines, said, settle
from support.waiting import until

#: The command with minutes that last for seconds.
SOON = """
import sys
import linewitness.status.problems.line as line
line.NO_RECEIPT_S, line.NO_RECEIPT_ALARM_S = 1.0, 3.0
from linewitness.cli import main
sys.argv = ["linewitness", *sys.argv[4:]]
main()
"""
METRIC = 'linewitness_problem{code="no-receipt",severity="alarm",subject="uplink"} 1.0'


@asynccontextmanager
async def stranger(folder: Path) -> AsyncIterator[tuple[Plant, tuple[object, ...]]]:
    """A plant whose gateway and store run and know each other's keys, and the enrolment that is missing."""
    missing: list[tuple[object, ...]] = []

    async def without_enrolment(*words: object) -> object:
        if words[:2] == ("store", "enroll"):
            missing.append(words)
            return None
        return await prepare(*words)

    async with open_plant(folder / "plant", mosquitto=True) as plant:
        await plant.enroll(without_enrolment)
        text = plant.line_file.read_text()
        text = text.replace("\nstore:\n", "\nforward: {receipt_timeout_s: 0.2}\n\nstore:\n")
        plant.line_file.write_text(text + "\nstatus: {listen: '127.0.0.1:0'}\n")
        plant.gateway.wrapper = (sys.executable, "-c", SOON)
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        (words,) = missing
        yield plant, words


async def status_of(plant: Plant, *, alarm: bool) -> str:
    """Return what `linewitness status` prints once it shows the alarm, or does not show it any more."""
    async with asyncio.timeout(60):
        while True:
            status = await asyncio.to_thread(call, "status", plant.line_file)
            if ("gave no receipt" in status.output) == alarm:
                return str(status.output)
            await asyncio.sleep(0.2)


async def test_a_gateway_that_is_not_enrolled_says_so_until_it_is(tmp_path: Path) -> None:
    async with stranger(tmp_path) as (plant, enrolment):
        page = page_of(said(plant))
        load = Load(plant)
        for _ in range(5):
            await load.step()

        async def present() -> bool:
            return METRIC in (await asked(f"{page}metrics"))[1]

        async with asyncio.timeout(60):
            while not await present():  # noqa: ASYNC110 (nothing tells it)
                await asyncio.sleep(0.1)
        await until(lambda: log_lines(plant, "the store gives no receipt for what is sent"), "the log")
        await until(lambda: "messages dropped" in said(plant, "store"), "the store's log")

        code, text = await asked(f"{page}healthz")
        (problem,) = [one for one in json.loads(text)["problems"] if one["code"] == "no-receipt"]
        assert (code, problem["alarm"]) == (503, True)
        assert problem["what"] == "the audit store gave no receipt ever, although the broker is connected"
        assert "enrol this gateway there" in problem["hint"]
        html = (await asked(page))[1]
        assert problem["what"] in html
        assert "enrol this gateway there" in html
        status = await status_of(plant, alarm=True)
        assert problem["what"] in status
        assert "enrol this gateway there" in status
        (logged,) = log_lines(plant, "the store gives no receipt for what is sent")
        assert logged["level"] == "warning"
        assert "`linewitness store enroll`" in logged["hint"]
        assert "linewitness_records_receipted 0.0" in (await asked(f"{page}metrics"))[1]

        await prepare(*enrolment)
        await plant.receipted(1)
        async with asyncio.timeout(60):
            while await present():  # noqa: ASYNC110 (nothing tells it)
                await asyncio.sleep(0.1)
        _, text = await asked(f"{page}healthz")
        assert "no-receipt" not in text
        assert problem["what"] not in (await asked(page))[1]
        await status_of(plant, alarm=False)
        await settle(plant, load.made)
        account(plant, load.made).check()
        assert held(plant).records[0]["kind"] == "stream.created", "what was made before is not lost"
