"""The judge of what a power cut has left: it must see each kind of harm."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.durable import open_private
from linewitness.journal import database
from linewitness_selftest.power.judge import MORE, Finding, judge
from linewitness_selftest.power.truth import ToldDurable, Truth
from linewitness_selftest.power.workload import JOURNAL, Workload

pytestmark = pytest.mark.heavy


class Work:
    """A journal after some work, and what was told last."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.said: list[Any] = []
        self.workload = Workload(site, 5, say=self.said.append)
        self.workload.init()
        self.workload.session(["append", "rotate", "append", "receipt", "append"], shuffled=False)

    @property
    def truth(self) -> Truth:
        found: Truth = self.said[-1]
        return found

    def told(self, **changes: Any) -> ToldDurable:
        truth = replace(self.truth, **changes)
        return ToldDurable(last=truth, doing=truth, next=None)

    def judged(self, **changes: Any) -> Finding:
        return judge(self.site, JOURNAL, self.told(**changes))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def test_journal_that_is_as_told_is_well_and_goes_on(work: Work) -> None:
    before = work.truth.size
    assert not work.judged()
    with work.workload._opened() as file:
        assert file.head.size == before + MORE + 1


def test_batch_under_way_may_be_there_or_not(work: Work) -> None:
    before = work.truth
    behind = replace(before, size=before.size - 2, record_hash="sha256:0")
    assert not judge(work.site, JOURNAL, ToldDurable(last=behind, doing=behind, next=before))


def test_records_that_are_missing_are_counted(work: Work) -> None:
    found = work.judged(size=work.truth.size + 7)
    assert found.lost == 7
    assert f"told were {work.truth.size + 7}" in found.wrong[0]


def test_results_that_are_missing_are_counted(work: Work) -> None:
    assert work.judged(results=work.truth.results + 3).lost == 3


def test_result_that_is_there_twice_is_counted(work: Work) -> None:
    with work.workload._opened() as file:
        work.workload.truth = replace(work.truth, results=work.truth.results - 1)
        work.workload.append(file, 1, 1)
    assert work.judged().duplicated == 1


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"passing": "7 of 9"}, "passing is"),
        ({"key": "0a0b0c0d"}, "told was 0a0b0c0d"),
        ({"pruned": 256}, "not to 256"),
        ({"record_hash": "sha256:0"}, "told were"),
        ({"root": "00"}, "told were"),
        ({"receipt": 1}, "told were"),
    ],
)
def test_what_is_not_as_told_is_said(work: Work, changes: dict[str, int | str], wrong: str) -> None:
    assert any(wrong in each for each in work.judged(**changes).wrong)


def test_key_that_came_back_is_said(work: Work) -> None:
    retired = work.truth.retired[0]
    with open_private(work.site / JOURNAL / "keys" / f"{retired}.key") as key:
        key.write(b"a key")
    assert work.judged().wrong == [f"the event key {retired} is back after it was erased"]


def test_key_of_zeros_has_not_come_back(work: Work) -> None:
    with open_private(work.site / JOURNAL / "keys" / f"{work.truth.retired[0]}.key") as key:
        key.write(bytes(50))
    assert not work.judged()


def test_other_log_key_is_said(work: Work) -> None:
    keys = work.site / JOURNAL / "keys"
    (keys / "log.key").write_bytes((keys / f"{work.truth.key}.key").read_bytes())
    assert work.judged().wrong == ["the log key is another one"]


def test_journal_that_does_not_open_has_lost_everything(work: Work) -> None:
    database.path_of(work.site / JOURNAL).unlink()
    found = work.judged()
    assert found.lost == work.truth.size
    assert "it does not open" in found.wrong[0]


def test_before_init_has_ended_a_refusal_in_words_is_enough(work: Work) -> None:
    database.path_of(work.site / JOURNAL).unlink()
    nothing = ToldDurable(last=None, doing=Truth(operation="init", begun=True), next=None)
    assert not judge(work.site, JOURNAL, nothing)


def test_ended_generation_must_be_kept_aside(work: Work) -> None:
    work.workload.wrap()
    work.workload.next_generation()
    after = work.truth
    before = next(truth for truth in reversed(work.said) if truth.generation == 1)
    told = ToldDurable(last=before, doing=replace(before, operation="continue", begun=True), next=after)
    for path in work.site.rglob(database.FILE_NAME):
        if path.parent.name != JOURNAL:
            path.unlink()
    found = judge(work.site, JOURNAL, told)
    assert found.lost == before.size
    assert "not kept aside" in found.wrong[0]


def test_truth_survives_its_line(work: Work) -> None:
    assert Truth.of_line(work.truth.to_line().decode()) == work.truth
    for told in (work.told(), ToldDurable(last=None, doing=work.truth, next=None)):
        assert ToldDurable.of_line(told.to_line()) == told
