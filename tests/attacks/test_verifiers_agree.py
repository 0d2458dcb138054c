"""Spoil packages and policies at random: the two machine verifiers must never differ."""

import random
import zipfile
from pathlib import Path

import pytest

from browser_verifier import judge_all_with_page
from chain_builder import Stream, grown
from packages import judge_with_python, policy_for, receipt, selection, whole

WORDS = [
    b"0",
    b"-1",
    b'"',
    b"\\",
    b"\n",
    b"\n\n",
    b" ",
    b"}",
    b"{",
    b"]",
    b",",
    b"null",
    b"1.0",
    b"\\u0041",
    b"\xff",
    b"+",
    b"=",
    b"A",
]


def spoil(data: bytes, dice: random.Random) -> bytes:
    """Change one small thing."""
    at = dice.randrange(len(data) + 1)
    end = min(len(data), at + dice.choice([1, 1, 1, 2, 40, 400]))
    match dice.randrange(6):
        case 0:
            return data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
        case 1:
            return data[:at] + dice.choice(WORDS) + data[at:]
        case 2:
            return data[:at] + data[end:]
        case 3:
            return data[:at] + data[at:end] + data[at:]
        case 4:
            lines = data.split(b"\n")
            one, two = dice.randrange(len(lines)), dice.randrange(len(lines))
            lines[one], lines[two] = lines[two], lines[one]
            return b"\n".join(lines)
        case _:
            lines = data.split(b"\n")
            del lines[dice.randrange(len(lines))]
            return b"\n".join(lines)


def written(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, data in files.items():
            package.writestr(name, data)
    return path


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as package:
        return {name: package.read(name) for name in package.namelist()}


def cases(folder: Path, seed: int, count: int) -> list[tuple[Path, Path]]:
    """Return pairs of package and policy, of which one file each is spoiled."""
    dice = random.Random(seed)
    stream: Stream = grown(14, rotate_every=5)
    receipts = [("receipts/1.receipt", receipt(stream, 9)), ("receipts/2.receipt", receipt(stream))]
    sources = [
        contents(whole(stream, folder / "whole.zip", statements=receipts)),
        contents(selection(stream, folder / "some.zip", [2, 6, 7, 12])),
    ]
    policy = policy_for(stream).canonical
    made: list[tuple[Path, Path]] = []
    for number in range(count):
        files = dict(dice.choice(sources))
        target = dice.choice([*(name for name in files if name != "manifest.json"), "policy"])
        named = folder / f"{number}.json"
        named.write_bytes(spoil(policy, dice) if target == "policy" else policy)
        if target != "policy":
            files[target] = spoil(files[target], dice)
        made.append((written(folder / f"{number}.zip", files), named))
    return made


@pytest.mark.parametrize("seed", [1, 2])
def test_verifiers_agree_on_spoiled_evidence(tmp_path, seed):
    made = cases(tmp_path, seed, 150)
    seen = set()
    for (path, policy), page in zip(made, judge_all_with_page(made), strict=True):
        python = judge_with_python(path, policy.read_bytes())
        ours = (python["status"], python["broken_at"], python.get("attested"))
        assert ours == (page["status"], page["broken_at"], page.get("attested")), (path, python, page)
        seen.add(python["status"])
    assert {"COMPLETE", "BROKEN", "REFUSED"} <= seen
