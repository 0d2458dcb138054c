"""Judge what a power cut has left: all that was told is there, once, and the journal goes on."""

import re
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.base.errors import LinewitnessError
from linewitness.base.secrets import Secret
from linewitness.evidence.format.keys import log_vkey
from linewitness.evidence.format.merkle import root_at
from linewitness.evidence.format.proof import TlogProof
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.evidence.verify.selection.selection import verify_selection
from linewitness.evidence.verify.stream import verify
from linewitness.evidence.verify.verdict import Verdict
from linewitness.journal import database
from linewitness.journal.file import JournalFile
from linewitness.journal.generations.generation import begin_next
from linewitness.journal.keyring import LOG_KEY
from linewitness.journal.options import JournalOptions
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness_selftest.power.truth import (
    LAST,
    PASSING,
    RESULT,
    WRAPPING_KEY,
    ToldDurable,
    Truth,
    identity,
    keyring,
    policy,
    raw_of,
)

#: How many events are appended to what the cut has left.
MORE: Final = 3
_CLOCK: Final = SystemClock()
_RESULT_ID: Final = re.compile(rb'"id":"' + re.escape(RESULT.encode()) + rb'(\d+)"')


@dataclass(slots=True)
class Finding:
    """What is wrong with what one cut has left: nothing, if the promise holds."""

    lost: int = 0
    duplicated: int = 0
    wrong: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether anything is wrong."""
        return bool(self.lost or self.duplicated or self.wrong)

    def require(self, holds: bool, otherwise: str) -> None:
        """Note a sentence where something does not hold."""
        if not holds:
            self.wrong.append(otherwise)


def judge(site: Path, journal: str, told: ToldDurable) -> Finding:
    """Open the journal of an image as the product does, and compare it with what was told; it is changed."""
    finding = Finding()
    directory = site / journal
    try:
        file = _opened(directory, told)
    except LinewitnessError as error:
        if told.last is None:
            _begin_again(directory, error, finding)
        else:
            finding.lost = told.last.size
            finding.wrong.append(f"it does not open: {error}")
        return finding
    try:
        _judge_opened(site, directory, file, told, finding)
    except (LinewitnessError, sqlite3.DatabaseError) as error:
        finding.wrong.append(f"it opens, and then: {error}")
    return finding


def _begin_again(directory: Path, refusal: LinewitnessError, finding: Finding) -> None:
    """Do after an `init` that was cut short what the refusal says, and require that it helps."""
    finding.require("linewitness init`" in refusal.hint or "run init" in refusal.hint, f"no help: {refusal}")
    if database.path_of(directory).exists():
        shutil.rmtree(directory)
    kept = keyring(directory, wrapped=False)
    state = SharedClockState()
    JournalFile.create(directory, identity(1), clock=_CLOCK, clock_state=state, keyring=kept).close()
    JournalFile.open(directory, clock=_CLOCK, clock_state=state, keyring=kept).close()
    with JournalReader(directory) as reader:
        verdict = verify(data for _, data in reader.records())
    finding.require(verdict.status == "INTACT", f"begun again, the verdict is {verdict.text}")


def _judge_opened(
    site: Path, directory: Path, file: JournalFile, told: ToldDurable, finding: Finding
) -> None:
    with closing(file):
        with JournalReader(directory) as reader:
            found = _found(file, reader, told)
            if found is None:
                _account_for(file, told, finding)
                return
            _compare(reader, file, found, finding)
            _judge_keys(directory, told, reader, finding)
        if told.last is not None and told.last.generation != found.generation:
            _judge_ended(site, directory, told.last, finding)
        _go_on(file, found)
    _judge_further(directory, found, told, finding)


def _opened(directory: Path, told: ToldDurable) -> JournalFile:
    try:
        return _open(directory, told)
    except LinewitnessError:
        if told.doing.operation != "continue" or told.last is None:
            raise
    # The replacement was cut short. The error says so, and the operator gives the command again.
    wrapping = directory.with_name(f"{directory.name}.wrapping")
    wrapping.write_bytes(WRAPPING_KEY)
    options = JournalOptions(directory=directory, wrapping_key=Secret(file=wrapping))
    begin_next(options, identity(2), clock=_CLOCK, reason="the selftest ends it")
    return _open(directory, told)


def _open(directory: Path, told: ToldDurable) -> JournalFile:
    return JournalFile.open(
        directory,
        clock=_CLOCK,
        clock_state=SharedClockState(),
        keyring=keyring(directory, wrapped=told.doing.wrapped),
    )


def _found(file: JournalFile, reader: JournalReader, told: ToldDurable) -> Truth | None:
    """Return which of the states that were told it is in; None for any other."""
    truth = told.found_in(file, reader)
    if truth is not None:
        return truth
    # A generation that was begun anew after the cut: its beginning is not in the recording.
    begun = told.doing.operation == "continue" and file.identity == identity(2) and told.last
    if begun and told.next:
        return _as_begun(file, begun, told.next)
    return None


def _as_begun(file: JournalFile, before: Truth, after: Truth) -> Truth:
    """Return what must hold of a generation that was begun anew after the cut."""
    head = file.head
    return Truth(
        operation=after.operation,
        begun=False,
        generation=after.generation,
        size=head.size,
        record_hash=head.record_hash,
        root=head.root.hex(),
        first=before.results,
        results=before.results,
        passing=before.passing,
        key=file.event_key_id,
        wrapped=after.wrapped,
    )


def _account_for(file: JournalFile, told: ToldDurable, finding: Finding) -> None:
    """Say how far the journal is from anything that was told."""
    size = file.head.size
    if told.last is not None:
        finding.lost = max(0, told.last.size - size)
    finding.wrong.append(
        f"{file.identity.stream} has {size} records; told were {told.last.size if told.last else 'none'}, "
        f"next would be {told.next.size if told.next else 'none'}"
    )


def _compare(reader: JournalReader, file: JournalFile, found: Truth, finding: Finding) -> None:
    """Compare records, state and what lies beside them with the state that was found."""
    _count_results(reader, found, finding)
    finding.require(file.event_key_id == found.key, f"{file.event_key_id} signs, told was {found.key}")
    finding.require(reader.pruned == found.pruned, f"pruned to {reader.pruned}, not to {found.pruned}")
    root = root_at(found.size, reader.tree().subtree).hex()
    finding.require(root == found.root, "the tree has another root")
    last = str(found.results - 1) if found.results else None
    for key, value in {LAST: last, PASSING: found.passing}.items():
        has = reader.state_value(key)
        finding.require(has == value, f"{key} is {has!r}, told was {value!r}")
    if found.results > found.first:
        sha256, data = raw_of(found.results - 1)
        finding.require(reader.raw(sha256) == data, "the last result's own bytes are not there")


def _count_results(reader: JournalReader, found: Truth, finding: Finding) -> None:
    """Require each result that was told once; of what is pruned the tree speaks."""
    times: Counter[int] = Counter()
    for _, data in reader.records(max(found.pruned, 0)):
        times.update(int(number) for number in _RESULT_ID.findall(data))
    oldest = min(times, default=found.first) if found.pruned else found.first
    finding.lost += sum(not times[number] for number in range(oldest, found.results))
    finding.duplicated += sum(count - 1 for count in times.values())
    beyond = [number for number in times if not found.first <= number < found.results]
    finding.require(not beyond, f"results that nobody has told: {beyond}")


def _judge_ended(site: Path, directory: Path, ended: Truth, finding: Finding) -> None:
    """Require the generation that has ended as it was, aside."""
    for path in site.rglob(database.FILE_NAME):
        if path.parent == directory:
            continue
        with JournalReader(path.parent) as reader:
            if (reader.size(), reader.head().record_hash) == (ended.size, ended.record_hash):
                return
    finding.lost += ended.size
    finding.wrong.append("the generation that has ended is not kept aside")


def _judge_keys(directory: Path, told: ToldDurable, reader: JournalReader, finding: Finding) -> None:
    """Require the log key of the stream, and that no key came back that was told to be erased."""
    log_key = keyring(directory, wrapped=told.doing.wrapped).load(LOG_KEY)
    is_same = str(log_vkey(reader.identity.stream, log_key)) == str(reader.log_vkey)
    finding.require(is_same, "the log key is another one")
    for retired in told.last.retired if told.last else ():
        path = directory / "keys" / f"{retired}.key"
        back = path.exists() and any(path.read_bytes())
        finding.require(not back, f"the event key {retired} is back after it was erased")


def _go_on(file: JournalFile, found: Truth) -> None:
    """Append to it, with a fresh key in between."""
    for number in range(found.results, found.results + MORE):
        file.append(
            [Submission(events=(_event(number),), state={LAST: str(number)}, rotate=number == found.results)]
        )


def _judge_further(directory: Path, found: Truth, told: ToldDurable, finding: Finding) -> None:
    """Open it again, and verify the whole of it."""
    size = found.size + MORE + 1
    with closing(_open(directory, told)) as file:
        finding.require(file.head.size == size, f"it went on to {file.head.size} records, not to {size}")
    with JournalReader(directory) as reader:
        if found.pruned:
            verdict = _verdict_on_kept(reader)
            good = ("INCLUDED", found.receipt)
        else:
            verdict = verify(data for _, data in reader.records())
            good = ("INTACT", size)
    finding.require((verdict.status, verdict.size) == good, f"the verdict is {verdict.text}")


def _verdict_on_kept(reader: JournalReader) -> Verdict:
    """Verify what was not pruned, each record by its proof to the receipt."""
    size, note = reader.newest_receipt() or (0, "")
    subtree = reader.tree().subtree
    return verify_selection(
        (data for _, data in reader.records(max(reader.pruned, 1), size)),
        (data for number, data in reader.key_records() if number < size),
        lambda number: str(TlogProof.make(number, note, subtree)),
        policy=policy(reader),
    )


def _event(number: int) -> Event:
    return Event(
        kind="tightening.result",
        occurred_ns=_CLOCK.stamp().realtime_ns,
        occurred_from="gateway",
        actor=Actor("system", "selftest"),
        resource=Resource("tightening", f"{RESULT}{number}"),
        reason="the selftest went on after the power cut",
        changes=(Change("torque", None, "12.30"),),
    )
