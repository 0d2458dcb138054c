"""Anchors: what is put out of our reach is read back; a failure is on record once and stops nobody."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from linewitness.anchors.base import AnchorFailed, Subject, Written
from linewitness.anchors.directory import DirectoryTarget
from linewitness.anchors.options import AnchorOptions, DirectoryOptions
from linewitness.base.clock import NS_PER_S
from linewitness.config import load
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.gateway.anchoring import targets_of
from linewitness.journal.reader import JournalReader
from linewitness.journal.requests import ANCHOR, Requests
from linewitness.journal.submission import Submission
from support.anchored import anchoring
from support.clocks import ManualClock
from support.journals import create, members_of, result_event, running, verdict_of
from support.lines import call, write_line
from support.waiting import until

pytestmark = pytest.mark.heavy

ORIGIN = "acme.example/ber-01/line-02/1"


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    create(tmp_path / "journal", clock)
    return tmp_path / "journal"


@pytest.fixture
def worm(tmp_path: Path) -> Path:
    folder = tmp_path / "worm"
    folder.mkdir()
    return folder


class Fickle:
    """A place that works when the test says so."""

    name = "directory fickle"
    near = True

    def __init__(self, *, works: bool = True, hangs: bool = False) -> None:
        self.works, self.hangs, self.asked = works, hangs, 0

    async def seen(self, _origin: str) -> None:
        return None

    async def write(self, subject: Subject) -> Written:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if not self.works:
            raise AnchorFailed("the medium is full", hint="put in another one")
        return Written("somewhere", subject.note)


def anchors(directory: Path) -> list[dict[str, Any]]:
    return [record for record in members_of(directory) if record["kind"] == "anchor.written"]


def fields(record: dict[str, Any]) -> dict[str, Any]:
    return {change["field"]: change["after"] for change in record["changes"]}


async def no_proof(_old: Any) -> Any:
    return []


def subject(note: str = "the note\n", size: int = 7) -> Subject:
    return Subject(ORIGIN, size, note, no_proof)


async def test_a_checkpoint_becomes_a_read_only_file_of_its_own(
    directory: Path, worm: Path, clock: ManualClock
) -> None:
    options = AnchorOptions(directories=(DirectoryOptions(id="worm", path=worm),))
    async with running(directory, clock) as journal:
        await anchoring(journal, directory, clock, cast(Any, targets_of(options, clock=clock))).write()
        await journal.submit([result_event(1, clock)])
        await anchoring(journal, directory, clock, cast(Any, targets_of(options, clock=clock))).write()
    folder = worm / ORIGIN.replace("/", "_")
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == ["000000000001.checkpoint", "000000000003.checkpoint"]
    assert all(path.stat().st_mode & 0o222 == 0 for path in files)
    first, second = anchors(directory)
    assert fields(first)["where"] == str(files[0])
    with JournalReader(directory) as reader:
        kept = list(reader.attestations())
        assert [one.note for one in kept] == [path.read_text() for path in files]
        assert open_checkpoint(kept[1].note, reader.log_vkey)[0].size == 3
        assert reader.newest_attestation() == (3, "directory worm")
    assert second["resource"] == {"id": "directory worm", "type": "anchor"}
    assert verdict_of(directory).status == "INTACT"


async def test_a_file_that_is_there_already_is_never_touched(worm: Path) -> None:
    place = DirectoryTarget(DirectoryOptions(id="worm", path=worm))
    await place.write(subject())
    await place.write(subject())
    with pytest.raises(AnchorFailed, match="another content"):
        await place.write(subject("another history\n"))
    [file] = [path for path in worm.rglob("*") if path.is_file()]  # noqa: ASYNC240
    assert file.read_text() == "the note\n"


async def test_a_medium_that_is_not_mounted_is_noticed(tmp_path: Path) -> None:
    place = DirectoryTarget(DirectoryOptions(id="worm", path=tmp_path / "gone"))
    with pytest.raises(AnchorFailed, match="mounted"):
        await place.write(subject())
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_a_failure_is_on_record_once_until_the_place_works_again(
    directory: Path, clock: ManualClock, how: str
) -> None:
    place, other = Fickle(works=how == "hangs", hangs=how == "hangs"), Fickle()
    other.name = "directory other"
    async with running(directory, clock) as journal:
        for _ in range(2):  # a new run knows of the failure, too
            task = anchoring(journal, directory, clock, [place, other], timeout_s=0.1)
            await task.write()
            await task.write()
        await journal.submit([result_event(1, clock)])
        place.works, place.hangs = True, False
        await task.write()
        place.works = False
        await task.write()
    of_place = [record for record in anchors(directory) if record["resource"]["id"] == place.name]
    assert [fields(record).get("outcome") for record in of_place] == ["failed", None, "failed"]
    assert len(anchors(directory)) == 3 + 6
    assert place.asked == 6


async def test_it_is_written_at_the_start_every_hour_and_when_asked(
    directory: Path, clock: ManualClock
) -> None:
    place = Fickle()
    async with running(directory, clock) as journal, asyncio.TaskGroup() as group:
        task = group.create_task(anchoring(journal, directory, clock, [place]).run())

        async def written(count: int) -> None:
            async with asyncio.timeout(10):
                while place.asked < count:  # noqa: ASYNC110 (the place is asked, it does not tell)
                    await asyncio.sleep(0.01)

        await written(1)
        clock.advance_ns(3600 * NS_PER_S)
        await written(2)
        Requests(directory).place(ANCHOR)
        await written(3)
        async with asyncio.timeout(10):
            while Requests(directory).waiting(ANCHOR):  # noqa: ASYNC110 (a file has no event)
                await asyncio.sleep(0.01)
        task.cancel()
    assert place.asked == 3


async def test_without_receipts_the_places_that_are_near_are_written_to_more_often(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linewitness.gateway.anchoring.LOOK_S", 0.01)
    near, far = Fickle(), Fickle()
    far.name, far.near = "bucket far", False
    async with running(directory, clock) as journal, asyncio.TaskGroup() as group:
        anchors_ = anchoring(journal, directory, clock, [near, far])
        task = group.create_task(anchors_.run())
        await until(lambda: (near.asked, far.asked) == (1, 1))
        for asked in (2, 3):
            anchors_.hasten()
            await until(lambda: near.asked == asked)  # noqa: B023 (awaited at once)
        assert far.asked == 1
        task.cancel()


async def test_a_person_asks_for_an_anchor_and_sees_what_every_place_holds(
    tmp_path: Path, directory: Path, worm: Path, clock: ManualClock
) -> None:
    more = f"anchors: {{directories: [{{id: worm, path: {worm}}}, {{id: gone, path: {tmp_path}/gone}}]}}"
    file = write_line(tmp_path, more=more)
    assert "no gateway runs" in call("anchor", file).exception.what
    options = load(file).anchors
    async with running(directory, clock) as journal, asyncio.TaskGroup() as group:
        places = targets_of(options, clock=clock)
        task = group.create_task(anchoring(journal, directory, clock, cast(Any, places)).run())
        result = await asyncio.to_thread(call, "anchor", file)
        task.cancel()
    assert result.exit_code == 0, result.output
    assert "directory gone: nothing yet; failing since 2026-" in result.output
    assert "directory worm: 1 records, 2026-" in result.output or "directory worm: 3 records" in result.output
    assert "anchored   directory worm" in call("status", file).output
    assert "names no anchors" in call("anchor", write_line(tmp_path)).exception.what


async def test_nothing_of_a_frozen_stream_is_anchored(directory: Path, clock: ManualClock) -> None:
    place = Fickle()
    async with running(directory, clock) as journal:
        await journal.submit_all(Submission(freeze=True))
        await anchoring(journal, directory, clock, [place]).write()
    assert place.asked == 0
