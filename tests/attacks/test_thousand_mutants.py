"""A thousand spoiled containers, a thousand spoiled contents: no disagreement, no crash, nothing costly."""

import contextlib
import io
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from linewitness.base.errors import ExitCode
from linewitness.evidence.command import main
from support.browser_verifier import costs_with_page
from support.chain_builder import grown
from support.mutants import WORDS, spoil, spoiled_contents
from support.packages import judge_with_python, policy_for, receipt, selection, whole

COUNT: Final = 1000
#: None may take longer, or more memory.
MOST_S: Final = 10
MOST_KB: Final = 300_000
#: One run of the page's script judges so many.
BATCH: Final = 100
#: What the verdicts of the two verifiers must have in common; of a refusal, the text is each one's own.
MEMBERS: Final = (
    "status",
    "text",
    "broken_at",
    "attested",
    "remarks",
    "contents",
    "without_capture",
    "age",
    "seen_late",
)
CODES: Final = {"REFUSED": ExitCode.UNJUDGED, "BROKEN": ExitCode.BROKEN}

Case = tuple[Path, ...]


def spoiled_containers(folder: Path, seed: int, count: int) -> list[Case]:
    """Return packages with bytes changed anywhere, most of them in what holds the files together."""
    dice = random.Random(seed)
    stream = grown(11, rotate_every=5)
    stream.commit(3)
    whole_one = whole(stream, folder / "whole.zip", statements=(("receipts/1.receipt", receipt(stream)),))
    sources = [whole_one.read_bytes(), selection(stream, folder / "some.zip", [2, 6, 7, 12]).read_bytes()]
    policy = folder / "policy.json"
    policy.write_bytes(policy_for(stream).canonical)
    made: list[Case] = []
    for number in range(count):
        path = folder / f"container-{number}.zip"
        path.write_bytes(_with_spoiled_container(dice.choice(sources), dice))
        made.append((path, policy))
    return made


def _with_spoiled_container(data: bytes, dice: random.Random) -> bytes:
    places = [at for mark in (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06") for at in _found(data, mark)]
    at = dice.choice(places)
    match dice.randrange(6):
        case 0:  # a field of a header
            at += dice.randrange(4, 46)
            new = dice.choice(
                [b"\0", b"\1", b"\xff", b"\xff\xff", b"\xff\xff\xff\xff", bytes([dice.randrange(256)])]
            )
            return data[:at] + new + data[at + len(new) :]
        case 1:  # a header twice, with what follows
            return data[: at + dice.randrange(80)] + data[at:]
        case 2:  # something between
            return data[:at] + dice.choice([*WORDS, bytes(30), data[at : at + 46]]) + data[at:]
        case 3:  # an end that is missing
            return data[: dice.randrange(at, len(data))]
        case 4:  # something before or after
            return dice.choice([data + dice.choice(WORDS), dice.choice(WORDS) + data, data + data])
        case _:
            return spoil(data, dice)


def _found(data: bytes, mark: bytes) -> Iterator[int]:
    at = data.find(mark)
    while at >= 0:
        yield at
        at = data.find(mark, at + 1)


def judge_all(cases: list[Case]) -> list[dict[str, Any]]:
    """Judge with the command and with the module below it; return verdicts, and check what they cost."""
    verdicts = []
    for path, policy, *notes in cases:
        begun = time.process_time()
        late = [note.read_bytes().decode("utf-8", "replace") for note in notes]
        verdicts.append(json.loads(json.dumps(judge_with_python(path, policy.read_bytes(), late))))
        assert time.process_time() - begun < MOST_S, path
        revocations = [option for note in notes for option in ("--revocation", str(note))]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
            code = main.run([str(path), "--policy", str(policy), *revocations])
        assert code is not ExitCode.BUG, said.getvalue()
        if verdicts[-1]["status"] != "REFUSED":
            assert code == CODES.get(verdicts[-1]["status"], ExitCode.OK), path
        else:
            assert code in {ExitCode.UNJUDGED, ExitCode.CONFIGURATION}, path
    return verdicts


def agreed(folder: Path, cases: list[Case]) -> set[str]:
    """Check that all verifiers say the same of each case, at a bearable cost; return the verdicts seen."""
    seen = set()
    for batch in _batches(cases):
        asked = folder / "asked.json"
        asked.write_text(json.dumps([[str(path) for path in case] for case in batch]))
        # In a process of its own: its memory is what these verdicts took.
        done = subprocess.run(
            [sys.executable, "-m", "attacks.test_thousand_mutants", str(asked)],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["kb"] < MOST_KB
        for case, python, page in zip(batch, found["verdicts"], costs_with_page(list(batch)), strict=True):
            verdict, cost = page["verdict"], page["cost"]
            assert cost["ms"] < 1000 * MOST_S, case
            assert cost["kb"] < MOST_KB, case
            same = MEMBERS if python["status"] != "REFUSED" else ("status",)
            for member in same:
                ours, theirs = said(python, member), said(verdict, member)
                assert ours == theirs, (member, case, ours, theirs)
            seen.add(python["status"])
    return seen


def said(verdict: dict[str, Any], member: str) -> Any:
    """Return a member of a verdict; why something is wrong, each verifier says in its own words."""
    found: Any = verdict.get(member)
    if member == "text" and verdict["status"] == "BROKEN":
        return found.partition(":")[0]
    if member != "remarks":
        return found
    return [(each["index"], each["text"].partition(" does not count:")[0]) for each in found]


def _batches(cases: list[Case]) -> Iterator[tuple[Case, ...]]:
    for at in range(0, len(cases), BATCH):
        yield tuple(cases[at : at + BATCH])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_verifiers_say_the_same_of_a_thousand_spoiled_containers(tmp_path: Path) -> None:
    assert {"COMPLETE", "INCLUDED", "REFUSED"} <= agreed(tmp_path, spoiled_containers(tmp_path, 3, COUNT))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_verifiers_say_the_same_of_a_thousand_spoiled_contents(tmp_path: Path) -> None:
    seen = agreed(tmp_path, [*spoiled_contents(tmp_path, 4, COUNT)])
    assert {"COMPLETE", "BROKEN", "INCLUDED", "REFUSED"} <= seen


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text())
    verdicts = judge_all([tuple(Path(file) for file in case) for case in asked])
    # `ru_maxrss` would begin with the memory of the process that started this one.
    kb = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    sys.stdout.write(json.dumps({"verdicts": verdicts, "kb": kb}))
