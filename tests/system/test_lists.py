"""Lists of others on a running line: what is right counts within seconds, what is wrong is only seen."""

import asyncio
import http.client
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from linewitness.base.clock import NS_PER_S, SystemClock, to_rfc3339
from linewitness.base.errors import ConfigurationError
from linewitness.config import load
from linewitness.config.lists.signing import signed_list
from linewitness.demo.plant import free_port
from linewitness.evidence.policy.customer import Customer
from linewitness.evidence.verify.stream import verify
from linewitness.gateway.app import Reload, create_stream, run_line
from linewitness.gateway.lists.kept import FOLDER
from linewitness.journal.reader import JournalReader
from linewitness.journal.requests import RELOAD, Requests
from support.journals import members_of
from support.lines import call, write_line
from support.waiting import WAIT_S, until

OWNER = Customer.new("acme.example/erp")
GOOD = "part,lot,status,reason\nA-100,L1,released,\nA-100,L2,released,\n"
BLOCKED = "part,lot,status,reason\nA-100,L1,released,\nA-100,L2,blocked,crack\nA-100,L3,released,\n"


def put(file: Path, data: str | bytes) -> None:
    """Replace a file as its owner is told to: as a whole."""
    part = file.with_suffix(".part")
    part.write_bytes(data if isinstance(data, bytes) else data.encode())
    part.replace(file)


def at(ago_s: float = 0) -> str:
    return to_rfc3339(SystemClock().stamp().realtime_ns - int(ago_s * NS_PER_S))


def issued(text: str, ago_s: float = 0, *, by: Customer = OWNER) -> bytes:
    return signed_list(Path("lots.csv"), text.encode(), by, issued=at(ago_s))


class ListLine:
    """The YAML of a line with a list of lots beside it."""

    def __init__(self, folder: Path, settings: str = "", text: str | bytes = GOOD) -> None:
        self.port = free_port()
        more = f"status: {{listen: '127.0.0.1:{self.port}'}}\nlists:\n  lots: {{file: lots.csv{settings}}}\n"
        self.yaml, self.lots = write_line(folder, more=more), folder / "lots.csv"
        self.journal = folder / "journal"
        put(self.lots, text)
        create_stream(load(self.yaml))

    def taken(self) -> list[dict[str, Any]]:
        """Return what the records say of lists that were taken over: field to (before, after)."""
        return [
            {change["field"]: (change["before"], change["after"]) for change in record["changes"]}
            for record in members_of(self.journal)
            if record["kind"] == "config.applied" and "list of" in record["reason"]
        ]

    def problems(self) -> dict[str, str]:
        """Return the problems that the status page says, by their codes."""
        body = json.loads(self.page("/healthz"))
        return {each["code"]: each["what"] for each in body["problems"]}

    def page(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except OSError:
            return '{"problems": [{"code": "no page", "what": ""}]}'
        finally:
            connection.close()

    async def is_problem(self, code: str, *words: str) -> None:
        async def look() -> bool:
            found = await asyncio.to_thread(self.problems)
            return all(word in found.get(code, "") for word in words) and code in found

        await eventually(look, f"the problem {code}")

    async def is_fine(self) -> None:
        async def look() -> bool:
            found = await asyncio.to_thread(self.problems)
            return not {"list-refused", "list-stale", "no page"} & found.keys()

        await eventually(look, "no problem of lists")

    async def reload(self) -> str:
        """Ask for a reload, as the command does, and return what the gateway answers."""
        requests = Requests(self.journal)
        requests.place(RELOAD)
        answer: dict[str, str] = {}

        def answered() -> bool:
            answer.update(requests.answered(RELOAD) or {})
            return bool(answer)

        await until(answered, "the answer")
        return f"{answer['outcome']}: {answer['what']}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the line until the block ends."""
        stop = asyncio.Event()
        reload = Reload(asyncio.Event(), lambda: load(self.yaml))
        async with asyncio.TaskGroup() as group:
            group.create_task(run_line(load(self.yaml), stop, reload=reload))
            try:
                yield
            finally:
                stop.set()


async def eventually(look: Callable[[], Any], what: str) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            while not await look():  # noqa: ASYNC110 (a test looks from outside; nothing tells it)
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"waited {WAIT_S:g} s for {what}") from None


async def test_a_list_that_is_replaced_counts_within_seconds_and_is_on_record(tmp_path: Path) -> None:
    line = ListLine(tmp_path)
    async with line.running():
        await until(lambda: len(line.taken()) == 1, "the first list")
        put(line.lots, BLOCKED)
        await until(lambda: len(line.taken()) == 2, "the second list")
        page = await asyncio.to_thread(line.page, "/")
        assert "<h2>Lists</h2>" in page
    first, second = line.taken()
    assert first.keys() == {"lists.lots.digest", "lists.lots.entries", "lists.lots.written"}
    assert first["lists.lots.entries"] == (None, 2)
    assert second["lists.lots/A-100/L2"] == ("released", "blocked: crack")
    assert second["lists.lots/A-100/L3"] == (None, "released")
    assert second["lists.lots.entries"] == (2, 3)
    assert second["lists.lots.differing"] == (None, "2")
    assert second["lists.lots.digest"] == (first["lists.lots.digest"][1], second["lists.lots.digest"][1])
    async with line.running():
        await line.is_fine()
    assert len(line.taken()) == 2, "nothing changed, so a restart puts nothing on record"
    with JournalReader(line.journal) as reader:
        assert verify(data for _, data in reader.records(0, reader.size())).status == "INTACT"


async def test_a_wrong_list_does_not_count_and_everybody_sees_it(tmp_path: Path) -> None:
    line = ListLine(tmp_path)
    structlog.reset_defaults()
    with capture_logs() as logs:
        async with line.running():
            await until(line.taken, "the first list")
            put(line.lots, BLOCKED.replace("blocked", "blokced"))
            await line.is_problem(
                "list-refused", "'blokced' is not one of released, blocked", "lots.csv:3:10"
            )
            metrics = await asyncio.to_thread(line.page, "/metrics")
            assert 'linewitness_list_refused{list="lots"} 1.0' in metrics
            assert 'linewitness_list_entries{list="lots"} 2.0' in metrics
            said: list[str] = []

            def told() -> bool:
                said.append(call("status", line.yaml).output)
                return "the file is refused" in said[-1]

            await until(told, lambda: said)
            assert "list       lots: 2 entries" in said[-1]
            assert "the last good one counts" in said[-1]
            put(line.lots, BLOCKED)
            await line.is_fine()
    assert len(line.taken()) == 2
    refusals = [each for each in logs if each["event"] == "a list is refused: the last good one counts"]
    assert len(refusals) == 1, "it is logged once"


async def test_a_file_that_is_half_written_is_not_taken(tmp_path: Path) -> None:
    line = ListLine(tmp_path)
    async with line.running():
        await until(line.taken, "the first list")
        line.lots.write_text(BLOCKED.rstrip("\n"))
        await line.is_problem("list-refused", "the last line has no line end")
        line.lots.write_text(BLOCKED)
        await line.is_fine()
    assert [each["lists.lots.entries"] for each in line.taken()] == [(None, 2), (2, 3)]


async def test_the_last_good_list_counts_after_a_restart_without_the_file(tmp_path: Path) -> None:
    line = ListLine(tmp_path)
    async with line.running():
        await until(line.taken, "the first list")
    line.lots.unlink()
    async with line.running():
        await line.is_problem("list-refused", "cannot be read: No such file or directory")
        assert 'linewitness_list_entries{list="lots"} 2.0' in await asyncio.to_thread(line.page, "/metrics")
        put(line.lots, BLOCKED)
        await line.is_fine()
    assert line.taken()[-1]["lists.lots/A-100/L2"] == ("released", "blocked: crack"), "the copy is compared"
    assert len([*(line.journal / FOLDER).iterdir()]) == 1


async def test_a_copy_that_somebody_changed_does_not_count(tmp_path: Path) -> None:
    line = ListLine(tmp_path)
    async with line.running():
        await until(line.taken, "the first list")
    line.lots.unlink()
    [copy] = (line.journal / FOLDER).iterdir()
    copy.write_text(BLOCKED.replace("blocked", "released"))
    with pytest.raises(ConfigurationError, match="no earlier one is kept"):
        await run_line(load(line.yaml), asyncio.Event())


@pytest.mark.parametrize("text", [None, "part,lot\n"])
async def test_a_first_start_is_refused_where_the_list_is_missing_or_wrong(
    tmp_path: Path, text: str | None
) -> None:
    line = ListLine(tmp_path)
    line.lots.unlink() if text is None else put(line.lots, text)
    with pytest.raises(ConfigurationError, match="the list of lots cannot be taken") as refused:
        await run_line(load(line.yaml), asyncio.Event())
    wanted = "No such file" if text is None else "lots.csv:1:1: the column 'status' is missing"
    assert wanted in str(refused.value)
    assert not [each for each in members_of(line.journal) if each["kind"] == "gateway.started"]


async def test_a_list_that_must_be_signed_counts_only_with_the_owner_s_signature(tmp_path: Path) -> None:
    line = ListLine(tmp_path, f", signed_by: {OWNER.vkey}", issued(GOOD, 3600))
    async with line.running():
        await until(line.taken, "the first list")
        assert line.taken()[0]["lists.lots.signer"] == (None, "acme.example/erp")
        put(line.lots, issued(BLOCKED).replace(b"blocked,crack", b"released,"))
        await line.is_problem("list-refused", "the signature of acme.example/erp")
        put(line.lots, issued(BLOCKED, by=Customer.new("acme.example/thief")))
        await line.is_problem("list-refused", "is not signed by acme.example/erp")
        put(line.lots, BLOCKED)
        await line.is_problem("list-refused", "lacks its signature block")
        newest = issued(BLOCKED)
        put(line.lots, newest)
        await line.is_fine()
    assert len(line.taken()) == 2
    assert "lists.lots.issued" in line.taken()[1]


async def test_an_older_signed_list_is_refused_as_a_rollback_also_after_a_restart(tmp_path: Path) -> None:
    old, new = issued(GOOD, 7200), issued(BLOCKED, 3600)
    line = ListLine(tmp_path, f", signed_by: {OWNER.vkey}", new)
    async with line.running():
        await until(line.taken, "the first list")
        put(line.lots, old)
        await line.is_problem("list-refused", "is an older list")
    async with line.running():
        await line.is_problem("list-refused", "is an older list")
    assert len(line.taken()) == 1
    [copy] = (line.journal / FOLDER).iterdir()
    assert copy.read_bytes() == new


async def test_a_list_that_is_too_old_does_not_count_and_says_so(tmp_path: Path) -> None:
    line = ListLine(tmp_path, ", max_age_h: 1", f"# issued: {at(7200)}\n{GOOD}")
    async with line.running():
        await line.is_problem("list-stale", "it is 2 h old, and 1 h are allowed")
        assert 'linewitness_list_stale{list="lots"} 1.0' in await asyncio.to_thread(line.page, "/metrics")
        put(line.lots, f"# issued: {at()}\n{GOOD}")
        await line.is_fine()


async def test_a_file_that_is_written_anew_with_the_same_content_is_young_again(tmp_path: Path) -> None:
    line = ListLine(tmp_path, ", max_age_h: 1")
    then = SystemClock().stamp().realtime_ns - 7200 * NS_PER_S
    os.utime(line.lots, ns=(then, then))
    async with line.running():
        await line.is_problem("list-stale", "it is 2 h old")
        put(line.lots, GOOD)
        await line.is_fine()
    assert len(line.taken()) == 1, "nothing in the list changed"
    os.utime(line.lots, ns=(then, then))
    line.lots.unlink()
    async with line.running():
        await line.is_problem("list-refused")
        assert "list-stale" not in await asyncio.to_thread(line.problems), "its age outlasts a restart"


async def test_a_reload_takes_lists_over_and_refuses_a_yaml_without_its_list(tmp_path: Path) -> None:
    line = ListLine(tmp_path)
    yaml = line.yaml.read_text()
    async with line.running():
        await until(line.taken, "the first list")
        line.yaml.write_text(yaml + "  calibrations: {file: calibrations.csv}\n")
        answer = await line.reload()
        assert answer.startswith("wrong: the list of calibrations cannot be taken")
        put(tmp_path / "calibrations.csv", "tool,due\nwrench-10,2027-03-31\n")
        assert await line.reload() == "applied: 1 devices"
        assert line.taken()[-1]["lists.calibrations.entries"] == (None, 1)
        put(line.lots, "part,lot\n")
        answer = await line.reload()
        assert answer.startswith("applied: 1 devices; the list of lots is refused, the last good one counts")
    assert next(iter(line.taken()[-1])).startswith("lists.calibrations")
