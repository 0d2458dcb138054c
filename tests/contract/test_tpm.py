"""A gateway's starts are counted by a real TPM 2.0 (swtpm), and a journal restored from a copy is found."""

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from linewitness.anchors.signatures import verifies
from linewitness.base.clock import NS_PER_S
from linewitness.evidence.tpm.quote import StartQuote
from linewitness.evidence.verify.stream import verify
from linewitness.gateway.lifecycle import Lifecycle
from linewitness.journal.reader import JournalReader
from linewitness.status.health import Health
from linewitness.tpm.counter import StartCounter, TpmFailed
from linewitness.tpm.options import TpmOptions
from linewitness.tpm.starts import CountedStarts
from support.clocks import ManualClock
from support.journals import create, members_of, result_event, running
from support.software_tpm import needs_a_tpm, software_tpm

pytestmark = needs_a_tpm

STREAM = "acme.example/ber-01/line-02/1"
HASH = "sha256:" + "5" * 64
NOT_EXCLUDED = "a restored copy is not excluded"
NO_OTHER = "the TPM counted no other start"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "tpm").mkdir()
    return tmp_path / "tpm"


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    create(tmp_path / "journal", clock)
    return tmp_path / "journal"


def counter(tcti: str, *, line: str = "acme/ber-01/line-02/gw-02", **other: Any) -> StartCounter:
    return StartCounter(TpmOptions(tcti=tcti, **other), line=line)


async def counted(tcti: str, **other: Any) -> StartQuote:
    """Count a start, and return the TPM's word of it."""
    start = counter(tcti, **other)
    await start.count()
    return await start.quote(STREAM, HASH)


async def test_the_number_rises_by_one_and_is_signed_for_one_place(state: Path) -> None:
    async with software_tpm(state) as tcti:
        first = await counted(tcti)
        second = await counted(tcti)
    assert second.number == first.number + 1
    assert second.attested != first.attested
    for quote in (first, second):
        assert not quote.check(stream=STREAM, prev_hash=HASH, verifies=verifies)
        assert quote.check(stream=STREAM, prev_hash="sha256:" + "6" * 64, verifies=verifies)
    assert (first.key, first.index) == (second.key, second.index)


async def test_a_tpm_that_was_off_goes_on_with_the_same_key(state: Path) -> None:
    quotes: list[StartQuote] = []
    for _ in range(3):
        async with software_tpm(state) as tcti:
            quotes.append(await counted(tcti))
    assert [quote.number - quotes[0].number for quote in quotes] == [0, 1, 2]
    assert len({(quote.key, quote.index) for quote in quotes}) == 1


async def test_lines_on_one_machine_have_counters_of_their_own(state: Path) -> None:
    async with software_tpm(state) as tcti:
        first = await counted(tcti)
        other = await counted(tcti, line="acme/ber-01/line-03/gw-02")
        again = await counted(tcti)
    assert again.number == first.number + 1
    assert first.index == again.index != other.index


async def test_what_prevents_it_is_said(state: Path) -> None:
    with pytest.raises(TpmFailed, match="refused"):
        await counted("swtpm:host=127.0.0.1,port=1")
    async with software_tpm(state) as tcti:
        import tpm2_pytss as tss  # noqa: PLC0415 (where it is installed)

        index = 0x0180_4711
        with tss.ESAPI(tcti=tcti) as tpm:
            attributes = tss.TPMA_NV.OWNERWRITE | tss.TPMA_NV.OWNERREAD
            public = tss.TPMS_NV_PUBLIC(
                nvIndex=index, nameAlg=tss.TPM2_ALG.SHA256, attributes=attributes, dataSize=8
            )
            tpm.nv_define_space(None, tss.TPM2B_NV_PUBLIC(nvPublic=public))
        with pytest.raises(TpmFailed, match="refused") as failed:
            await counted(tcti, index=index)
    assert "does something else use the index?" in failed.value.hint


async def started(directory: Path, clock: ManualClock, tcti: str) -> tuple[CountedStarts, Health]:
    """Start a gateway on a journal, store one result, and stop it."""
    health = Health()
    starts = CountedStarts(counter(tcti), health)
    async with running(directory, clock) as journal:
        lifecycle = Lifecycle(journal, clock=clock, gateway="gw-02", config_digest=HASH, starts=starts)
        await lifecycle.started()
        await journal.submit([result_event(journal.head.size, clock)])
        await lifecycle.stopped("the gateway was asked to stop")
    return starts, health


def judged(directory: Path) -> tuple[list[str], list[str]]:
    """Return what is said of the time before each start, and the remarks."""
    with JournalReader(directory) as reader:
        verdict = verify((data for _, data in reader.records()), verifies=verifies)
    assert verdict.status == "INTACT", verdict.text
    off = [each for each in verdict.without_capture if each.subject == "gateway" and each.last is not None]
    words = [each.why.rpartition("; ")[2] for each in off]
    return words, [remark.text for remark in verdict.remarks]


async def test_a_journal_that_was_restored_from_a_copy_lacks_a_start(
    directory: Path, clock: ManualClock, state: Path
) -> None:
    copy = directory.with_name("copy")
    async with software_tpm(state) as tcti:
        await started(directory, clock, tcti)
        starts, health = await started(directory, clock, tcti)
        assert (starts.others, health.tpm_failure) == (0, "")
        assert judged(directory) == ([NOT_EXCLUDED, NO_OTHER], [])
        shutil.copytree(directory, copy)
        await started(directory, clock, tcti)
        shutil.rmtree(directory)
        copy.rename(directory)
        starts, health = await started(directory, clock, tcti)
    assert starts.others == 1
    assert health.tpm_failure == "the TPM has counted 1 start of which nothing is on record"
    words, [remark] = judged(directory)
    assert words == [NOT_EXCLUDED, NO_OTHER, "the TPM counted 1 other start"]
    assert remark.startswith("the TPM counted 1 other start after record")


async def test_a_gateway_without_its_tpm_starts_and_says_so(
    directory: Path, clock: ManualClock, state: Path
) -> None:
    async with software_tpm(state) as tcti:
        await started(directory, clock, tcti)
    _, health = await started(directory, clock, tcti)
    assert health.tpm_failure.startswith("the TPM has not counted this start: ")
    begun = [record for record in members_of(directory) if record["kind"] == "gateway.started"][-1]
    found = {change["field"]: change["after"] for change in begun["changes"]}
    assert "refused" in found["tpm_error"]
    words, [remark] = judged(directory)
    assert words[-1] == NOT_EXCLUDED
    assert remark.startswith("it has no TPM quote, unlike the start at record")


async def test_an_uncounted_start_takes_the_certainty(
    directory: Path, clock: ManualClock, state: Path
) -> None:
    async with software_tpm(state) as tcti:
        await started(directory, clock, tcti)
    await started(directory, clock, tcti)
    async with software_tpm(state) as tcti:
        starts, _ = await started(directory, clock, tcti)
        assert starts.others is None
        starts, _ = await started(directory, clock, tcti)
        assert starts.others == 0
    assert judged(directory)[0] == [NOT_EXCLUDED] * 3 + [NO_OTHER]


async def test_what_is_missing_is_kept_until_the_store_has_heard_of_it(
    directory: Path, clock: ManualClock, state: Path
) -> None:
    async with software_tpm(state) as tcti:
        await started(directory, clock, tcti)
        await counted(tcti)
        starts, _ = await started(directory, clock, tcti)
        assert starts.others == 1
        starts, health = await started(directory, clock, tcti)
    assert starts.others == 1
    assert health.tpm_failure == "the TPM has counted 1 start of which nothing is on record"


async def test_a_clock_that_is_set_during_the_start_accuses_nobody(
    directory: Path, clock: ManualClock, state: Path
) -> None:
    """`clock.stepped` comes between the quote and the start; the number counts all the same."""
    async with software_tpm(state) as tcti:
        await started(directory, clock, tcti)
        starts = CountedStarts(Stepping(tcti, clock), Health())
        async with running(directory, clock) as journal:
            await Lifecycle(
                journal, clock=clock, gateway="gw-02", config_digest=HASH, starts=starts
            ).started()
        await started(directory, clock, tcti)
    kinds = [record["kind"] for record in members_of(directory)]
    assert "clock.stepped" in kinds
    words, remarks = judged(directory)
    assert words == [NOT_EXCLUDED, NOT_EXCLUDED, NO_OTHER]
    assert "its TPM quote is about another place" in remarks
    assert not any("other start" in remark for remark in remarks)


class Stepping(StartCounter):
    """A TPM that is slow while the clock is set."""

    def __init__(self, tcti: str, clock: ManualClock) -> None:
        super().__init__(TpmOptions(tcti=tcti), line="acme/ber-01/line-02/gw-02")
        self._clock = clock

    async def quote(self, stream: str, prev_hash: str) -> StartQuote:
        quoted = await super().quote(stream, prev_hash)
        self._clock.step_ns(5 * NS_PER_S)
        return quoted


@pytest.mark.parametrize("text", ["x" * 33, None])
async def test_a_wrong_authorization_uses_up_no_number(tmp_path: Path, state: Path, text: str | None) -> None:
    file = tmp_path / "auth"
    if text:
        file.write_text(text)
        file.chmod(0o600)
    async with software_tpm(state) as tcti:
        first = await counted(tcti)
        with pytest.raises(TpmFailed, match="owner_auth"):
            await counted(tcti, owner_auth={"file": file})
        assert (await counted(tcti)).number == first.number + 1


async def test_a_tpm_that_hangs_holds_up_neither_the_start_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    hanging = counter("swtpm:host=127.0.0.1,port=1")
    monkeypatch.setattr("linewitness.tpm.counter.TIMEOUT_S", 0.05)
    monkeypatch.setattr(hanging, "_count", lambda: released.wait(60))
    with pytest.raises(TpmFailed, match="does not answer"):
        await hanging.count()
    assert [thread.daemon for thread in threading.enumerate() if thread.name == "tpm"] == [True]
    released.set()
