"""The page that verifies one record by hand works as it stands, and fails on an altered record."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```bash\n(.*?)^```", (ROOT / "docs/by-hand.md").read_text(), re.MULTILINE | re.DOTALL)


def work_through(folder: Path, spoil: str = "") -> subprocess.CompletedProcess[Any]:
    script = "\n".join(["set -euo pipefail", BLOCKS[0], spoil, *BLOCKS[1:]])
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={"vectors": str(ROOT / "vectors"), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_page_checks_a_good_record(tmp_path: Path) -> None:
    done = work_through(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Signature Verified Successfully") == 4
    assert "record 3 vouches for it" in done.stdout
    assert "the hash is right" in done.stdout
    assert "record 2 is among the 7 records of the receipt" in done.stdout
    assert "held by the store at 2026-" in done.stdout
    assert done.stdout.rstrip().endswith("it is the stream of the policy")


@pytest.mark.parametrize(
    "spoil",
    [
        "sed -i 's/12[.]3/12.4/' record.json",
        "sed -i 's/\"ed25519:./\"ed25519:B/' record.json",
        "sed -i 's/^index 2/index 3/' proof",
        "sed -i '1,3s/^7$/6/' receipt",
        "sed -i 's/sha256:./sha256:x/' policy.json",
    ],
)
def test_the_page_finds_what_was_altered(tmp_path: Path, spoil: str) -> None:
    done = work_through(
        tmp_path,
        spoil + "; ! cmp -s record.json $vectors/record/record.json ||"
        " ! cmp -s proof $vectors/proof/2.tlog-proof ||"
        " ! cmp -s receipt $vectors/checkpoint/7.receipt ||"
        " ! cmp -s policy.json $vectors/policy.json || { echo unspoiled; exit 0; }",
    )
    assert done.returncode != 0, done.stdout
    assert "it is the stream of the policy" not in done.stdout
