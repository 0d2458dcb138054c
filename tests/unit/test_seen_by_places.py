"""What places outside have seen of a stream is compared before anything is written there, or sent."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from linewitness.anchors.base import AnchorDoubt, AnchorFailed, Subject, Written
from linewitness.anchors.directory import DirectoryTarget
from linewitness.anchors.options import DirectoryOptions
from linewitness.base.errors import ExitCode
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.keys import cosigner_vkey, new_key
from linewitness.evidence.format.merkle import root_at
from linewitness.evidence.format.note import cosign
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.continuity import Continuity, HistoryContradiction
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.gateway.sending.record_sender import RecordSender
from linewitness.gateway.sending.send_window import SendWindow
from linewitness.journal.attestations import FAILING
from linewitness.journal.journal import Journal
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader
from linewitness.status.health import Health
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.mqtt import MqttMessage
from linewitness.uplink.topics import Topics
from support.anchored import anchoring, conflict, restored, said, start
from support.clocks import ManualClock
from support.journals import IDENTITY, create, members_of, result_event, running, verdict_of
from support.lines import call, write_line
from support.present import present
from support.waiting import until

FOLDER = IDENTITY.stream.replace("/", "_")
STORE = new_key()
PLACE = "directory worm"


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    create(tmp_path / "journal", clock)
    return tmp_path / "journal"


@pytest.fixture
def worm(tmp_path: Path) -> DirectoryTarget:
    (tmp_path / "worm").mkdir()
    return DirectoryTarget(DirectoryOptions(id="worm", path=tmp_path / "worm"))


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "worm").rglob("*") if path.is_file())


def newest_note(tmp_path: Path) -> str:
    return (tmp_path / "worm" / FOLDER / files(tmp_path)[-1]).read_text()


def write_note(tmp_path: Path, size: int, data: bytes) -> None:
    (tmp_path / "worm" / FOLDER).mkdir(exist_ok=True)
    (tmp_path / "worm" / FOLDER / f"{size:012}.checkpoint").write_bytes(data)


def attested(directory: Path) -> list[str]:
    with JournalReader(directory) as reader:
        return [one.note for one in reader.attestations()]


class Doubtful:
    """A witness that says without a signature what it has seen."""

    name = "witness first"
    near = True

    def __init__(self, size: int) -> None:
        self.size = size
        #: It answers only when more is on record than it is asked about.
        self.late: Journal | None = None

    async def seen(self, _origin: str) -> None:
        return None

    async def write(self, subject: Subject) -> Written:
        if self.late is not None:
            await self.late.wait_beyond(subject.size)
        what = f"has seen {self.size} records of this stream, here are {subject.size}"
        raise AnchorDoubt(what, hint="restored", size=self.size)


class Away:
    """A place that cannot be reached at first; then it is the folder behind it."""

    name = PLACE
    near = True

    def __init__(self, behind: DirectoryTarget, *, hangs: bool) -> None:
        self.behind, self.hangs, self.here = behind, hangs, asyncio.Event()

    def answer(self) -> None:
        self.here.set()

    async def reached(self) -> None:
        if self.hangs:
            await self.here.wait()
        if not self.here.is_set():
            raise AnchorFailed("no route to host", hint="")

    async def seen(self, origin: str) -> str | None:
        await self.reached()
        return await self.behind.seen(origin)

    async def write(self, subject: Subject) -> Written:
        await self.reached()
        return await self.behind.write(subject)


class Link:
    """A connection that takes everything."""

    maximum_packet_bytes = None

    def __init__(self) -> None:
        self.topics: list[str] = []

    async def publish(self, topic: str, _payload: bytes, *, retain: bool = False) -> int:
        self.topics.append(topic)
        return 0x10  # nobody listens

    async def subscribe(self, topic: str) -> None: ...

    def messages(self) -> AsyncIterator[MqttMessage]:
        raise AssertionError


@pytest.mark.parametrize("after", [0, 6])
async def test_a_restored_journal_is_frozen_by_what_a_folder_holds_before_anything_is_anchored(
    tmp_path: Path, directory: Path, worm: DirectoryTarget, clock: ManualClock, after: int
) -> None:
    size = await restored(directory, clock, [worm], after=after)
    held = files(tmp_path)
    other = DirectoryTarget(DirectoryOptions(id="other", path=tmp_path))
    async with running(directory, clock) as journal:
        own_size, continuity = journal.head.size, Continuity(journal, clock=clock)
        task = anchoring(journal, directory, clock, [other, worm], continuity)
        with capture_logs() as logged:
            for _ in range(2):
                await task.write()
        assert journal.frozen
        assert continuity.contradiction is not None
        await journal.submit([result_event(9, clock)])  # capture goes on
    assert files(tmp_path) == held, "nothing is anchored"
    assert attested(directory) == []
    assert not (tmp_path / FOLDER).exists(), "nor at another place"
    [frozen] = said(directory)
    words = "other records than the journal" if after else f"{size} records of this stream, the journal only"
    assert words in frozen["reason"]
    root = "sha256:" + Checkpoint.parse(newest_note(tmp_path).partition("\n\n")[0] + "\n").root.hex()
    expected = {"before": "unverified", "continuity": "contradicted", "size": own_size}
    assert frozen == expected | {
        "reason": frozen["reason"],
        "place": PLACE,
        "place_size": size,
        "place_root": root,
    }
    known = present(conflict(directory))
    assert (known.proven, known.own_size, known.note) == (True, own_size, newest_note(tmp_path))
    assert (known.store_size, known.store_root) == (None, None)
    [entry] = [entry for entry in logged if entry["log_level"] == "error"]
    assert entry["event"] == "another history contradicts this journal: nothing is sent any more"
    assert PLACE in entry["why"]
    assert verdict_of(directory).status == "INTACT"


async def test_status_and_the_next_generation_say_where_the_other_history_is(
    tmp_path: Path, directory: Path, worm: DirectoryTarget, clock: ManualClock
) -> None:
    size = await restored(directory, clock, [worm])
    await start(directory, clock, [worm])
    status = call("status", write_line(tmp_path))
    assert status.exit_code == ExitCode.BROKEN
    assert "FROZEN: another history of this stream exists" in status.output
    assert f"directory worm holds a checkpoint of {size} records of this stream" in status.output
    # A start knows it without asking any place.
    async with running(directory, clock) as journal:
        continuity = Continuity(journal, clock=clock)
        await continuity.recall()
        assert "directory worm" in present(continuity.contradiction).what
    begun = call("init", write_line(tmp_path, generation=2), "--continue")
    assert begun.exit_code == 0, begun.output
    assert f"directory worm holds a checkpoint of {size} records" in begun.output
    heads = {change["field"]: change["after"] for change in members_of(directory)[0]["changes"]}
    assert heads["continues"] == IDENTITY.stream
    assert "store_size" not in heads
    await start(directory, clock, [worm])
    assert conflict(directory) is None


async def test_an_equal_history_and_a_longer_one_of_our_own_are_anchored_without_a_word(
    tmp_path: Path, directory: Path, worm: DirectoryTarget, clock: ManualClock
) -> None:
    for results in (2, 0, 3):
        with capture_logs() as logged:
            await start(directory, clock, [worm], results)
        assert {entry["event"] for entry in logged} == {"anchor written"}
    assert len(files(tmp_path)) == 3
    assert said(directory) == []
    assert conflict(directory) is None


async def test_a_checkpoint_of_which_the_loop_has_not_heard_yet_contradicts_nothing(
    directory: Path, worm: DirectoryTarget, clock: ManualClock
) -> None:
    async with running(directory, clock) as journal:
        before = journal.head
        await journal.submit([result_event(1, clock)])
        await anchoring(journal, directory, clock, [worm]).write()
        now, journal.head = journal.head, before
        await anchoring(journal, directory, clock, [worm]).write()
        journal.head = now
        assert not journal.frozen


def of_another_key(directory: Path) -> bytes:
    with JournalReader(directory) as reader:
        origin = reader.identity.stream
    return str(Checkpoint(origin, 900, b"\1" * 32).sign(new_key())).encode()


def of_another_stream(directory: Path) -> bytes:
    key = Keyring(directory).load(LOG_KEY)
    return str(Checkpoint("acme.example/other/1", 900, b"\1" * 32).sign(key)).encode()


@pytest.mark.parametrize(
    "junk",
    [
        lambda _: b"",
        lambda _: b"\xff\xfe\x00 no checkpoint",
        lambda _: b"x" * 10_000_000,
        of_another_key,
        of_another_stream,
    ],
)
async def test_whoever_can_write_to_the_place_does_not_stop_the_line(
    tmp_path: Path, directory: Path, worm: DirectoryTarget, clock: ManualClock, junk: Any
) -> None:
    write_note(tmp_path, 900, junk(directory))
    (tmp_path / "worm" / FOLDER / "999999999999.checkpoint").mkdir()
    (tmp_path / "worm" / FOLDER / "readme.checkpoint").write_text("not a size")
    async with running(directory, clock) as journal:
        task = anchoring(journal, directory, clock, [worm])
        with capture_logs() as logged:
            for number in range(3):
                await journal.submit([result_event(number, clock)])
                if number == 1:  # a place that could not be written to is read again
                    (tmp_path / "worm").rename(tmp_path / "drawer")
                    await task.write()
                    (tmp_path / "drawer").rename(tmp_path / "worm")
                await task.write()
        assert not journal.frozen
    warnings = [entry for entry in logged if entry["log_level"] != "info"]
    assert [(entry["event"], entry["place"]) for entry in warnings] == [
        ("what an anchor's place holds is no checkpoint of this stream", PLACE),
        ("anchor failed", PLACE),
    ]
    assert len(attested(directory)) == 3
    assert said(directory) == []


@pytest.mark.heavy
@pytest.mark.parametrize("hangs", [False, True])
async def test_a_place_that_is_away_at_the_start_is_compared_when_it_is_back(
    tmp_path: Path, directory: Path, worm: DirectoryTarget, clock: ManualClock, hangs: bool
) -> None:
    size = await restored(directory, clock, [worm])
    held, place = files(tmp_path), Away(worm, hangs=hangs)
    (tmp_path / "shelf").mkdir()
    shelf = DirectoryTarget(DirectoryOptions(id="shelf", path=tmp_path / "shelf"))
    async with running(directory, clock) as journal:
        task = anchoring(journal, directory, clock, [place, shelf], timeout_s=4 if hangs else 30)
        await task.write()
        await task.write()
        assert not journal.frozen
        assert len(attested(directory)) == 2, "the others are written meanwhile"
        place.answer()
        await task.write()
        assert journal.frozen
    assert files(tmp_path) == held
    [frozen] = said(directory)
    assert (frozen["place"], frozen["place_size"]) == (PLACE, size)
    failures = [entry for entry in said(directory, "anchor.written") if entry.get("outcome") == "failed"]
    assert len(failures) == 1


async def test_a_folder_that_may_not_be_read_is_written_all_the_same(
    tmp_path: Path,
    directory: Path,
    worm: DirectoryTarget,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_self: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    await start(directory, clock, [worm], 1)
    monkeypatch.setattr(Path, "iterdir", refused)  # tests may run as root, who may read everything
    await start(directory, clock, [worm], 1)
    assert len(files(tmp_path)) == 2


async def test_a_place_is_compared_once_a_start_and_again_after_a_writing_that_failed(
    tmp_path: Path,
    directory: Path,
    worm: DirectoryTarget,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    seen = DirectoryTarget.seen

    async def counted(self: DirectoryTarget, origin: str) -> str | None:
        asked.append(origin)
        return await seen(self, origin)

    monkeypatch.setattr(DirectoryTarget, "seen", counted)
    async with running(directory, clock) as journal:
        task = anchoring(journal, directory, clock, [worm])
        await task.write()
        await task.write()
        assert len(asked) == 1
        (tmp_path / "worm").rename(tmp_path / "drawer")  # the medium is taken out
        await task.write()
        (tmp_path / "drawer").rename(tmp_path / "worm")
        await task.write()
        await task.write()
    assert asked == [IDENTITY.stream] * 2


async def test_a_witness_that_has_seen_more_is_a_doubt_on_record_once_and_the_stream_goes_on(
    directory: Path, worm: DirectoryTarget, clock: ManualClock
) -> None:
    place = Doubtful(900)
    for _ in range(2):
        with capture_logs() as logged:
            async with running(directory, clock) as journal:
                place.late = journal
                task = anchoring(journal, directory, clock, [place, worm])
                for _ in range(3):
                    await task.write()
                assert not journal.frozen
        errors = [entry for entry in logged if entry["log_level"] == "error"]
        assert [entry["event"] for entry in errors] == [
            "a witness says that it has seen another history of this stream"
        ]
        assert "init --continue" in errors[0]["hint"]
    doubts = said(directory)
    assert len(doubts) == 2, "once a start"
    assert doubts[0]["reason"].startswith("has seen 900 records of this stream, here are")
    assert doubts[0] == {
        "before": "unverified",
        "continuity": "doubted",
        "size": 1,
        "place": "witness first",
        "place_size": 900,
        "reason": doubts[0]["reason"],
    }
    assert len(attested(directory)) == 6
    with JournalReader(directory) as reader:
        assert reader.state_value(FAILING + "witness first") is not None


async def test_a_witness_that_has_seen_our_own_newer_checkpoint_is_no_doubt(
    directory: Path, clock: ManualClock
) -> None:
    async with running(directory, clock) as journal:
        before = journal.head
        await journal.submit([result_event(number, clock) for number in range(5)])
        place, journal.head = Doubtful(journal.head.size), before
        await anchoring(journal, directory, clock, [place]).write()
    assert said(directory) == []
    assert said(directory, "anchor.written")[0]["outcome"] == "failed"


def receipt(directory: Path, size: int, root: bytes) -> bytes:
    note = Checkpoint(IDENTITY.stream, size, root).sign(Keyring(directory).load(LOG_KEY))
    line = cosign(note.text, name="store.example", key=STORE, time_s=1_772_352_000)
    return str(note.with_signature(line)).encode()


def judge_of(journal: Journal, continuity: Continuity, clock: ManualClock) -> ReceiptJudge:
    vkey = cosigner_vkey("store.example", STORE)
    return ReceiptJudge(journal, continuity, store_vkey=vkey, clock=clock)


async def test_the_stores_head_is_put_on_record_also_where_a_place_was_heard_first(
    directory: Path, worm: DirectoryTarget, clock: ManualClock
) -> None:
    await restored(directory, clock, [worm])
    async with running(directory, clock) as journal:
        continuity = Continuity(journal, clock=clock)
        judge = judge_of(journal, continuity, clock)
        await judge.recall()
        await anchoring(journal, directory, clock, [worm], continuity).write()
        assert present(judge.contradiction).what.startswith("directory worm")
        for _ in range(2):
            with pytest.raises(HistoryContradiction, match="the store holds 50 records"):
                await judge.judge(receipt(directory, 50, b"\1" * 32))
    by_place, by_store = said(directory)
    assert (by_place["place"], by_store["store_size"]) == (PLACE, 50)
    assert (by_store["before"], by_store["continuity"]) == ("contradicted", "contradicted")
    known = present(conflict(directory))
    assert (known.store_size, known.store_root) == (50, "sha256:" + "01" * 32)


async def test_a_good_receipt_does_not_outweigh_what_a_place_proves(
    directory: Path, worm: DirectoryTarget, clock: ManualClock
) -> None:
    await restored(directory, clock, [worm])
    async with running(directory, clock) as journal:
        continuity = Continuity(journal, clock=clock)
        judge = judge_of(journal, continuity, clock)
        await anchoring(journal, directory, clock, [worm], continuity).write()
        root = await journal.read(lambda reader: root_at(1, reader.tree().subtree))
        await judge.judge(receipt(directory, 1, root))
        assert continuity.contradiction is not None
    assert conflict(directory) is not None
    assert not said(directory, "custody.received")


def sending(journal: Journal, continuity: Continuity, directory: Path, clock: ManualClock) -> Any:
    judge, options = judge_of(journal, continuity, clock), ForwardOptions(batch_size=70_000)
    signer = CheckpointSigner(journal, Keyring(directory).load(LOG_KEY))
    sender = RecordSender(
        SendWindow(judge, journal=journal, options=options),
        judge,
        journal=journal,
        signer=signer,
        topics=Topics("acme", "gw-02"),
        options=options,
        health=Health(),
    )
    link = Link()
    return link, sender.run(link)


@pytest.mark.heavy
@pytest.mark.parametrize("rolled_back", [True, False])
async def test_nothing_is_sent_before_the_places_were_looked_at(
    directory: Path, worm: DirectoryTarget, clock: ManualClock, rolled_back: bool
) -> None:
    await start(directory, clock, [worm], 1)
    if rolled_back:
        await restored(directory, clock, [worm])
    place = Away(worm, hangs=True)
    async with running(directory, clock) as journal, asyncio.TaskGroup() as group:
        continuity = Continuity(journal, clock=clock)
        task = anchoring(journal, directory, clock, [place], continuity)
        link, run = sending(journal, continuity, directory, clock)
        sender, writer = group.create_task(run), group.create_task(task.write())
        await asyncio.sleep(0.2)
        assert link.topics == [], "the place has not answered yet"
        place.answer()
        await writer
        if rolled_back:
            await asyncio.sleep(0.2)
            assert link.topics == []
        else:
            await until(lambda: link.topics)
        sender.cancel()


async def test_a_place_that_does_not_answer_does_not_hold_up_the_sending_for_long(
    directory: Path, worm: DirectoryTarget, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linewitness.gateway.continuity.PLACES_S", 0.1)
    async with running(directory, clock) as journal, asyncio.TaskGroup() as group:
        continuity = Continuity(journal, clock=clock)
        task = anchoring(journal, directory, clock, [Away(worm, hangs=True)], continuity, timeout_s=300)
        link, run = sending(journal, continuity, directory, clock)
        at_work = [group.create_task(run), group.create_task(task.write())]
        await until(lambda: link.topics)
        for one in at_work:
            one.cancel()
