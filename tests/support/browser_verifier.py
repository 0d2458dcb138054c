"""Run the verifier that is inside `verify.html`, outside of a browser, in Node where it is there."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from linewitness.evidence.command.demands import Demands

PAGE = Path(__file__).parents[2] / "src/linewitness/evidence/package/verify.html"
_DRIVER = r"""
const fs = require("node:fs");
(async () => {
  const read = (path) => new Uint8Array(fs.readFileSync(path));
  const [cases, demands, count] = JSON.parse(process.argv[2]);
  for (const files of cases) {
    const [evidence, ...trust] = files.map(read);
    const begun = performance.now();
    const policies = trust.slice(0, count), revocations = trust.slice(count);
    const verdict = await verifyEvidence(evidence, policies, () => {}, revocations, demands);
    // `maxRSS` would begin with the memory of the process that started this one.
    const kb = Number(fs.readFileSync("/proc/self/status", "utf8").match(/VmHWM:\s+(\d+)/)[1]);
    const cost = { ms: performance.now() - begun, kb };
    console.log(JSON.stringify({ verdict, cost }));
  }
})();
"""


def judge_with_page(
    path: Path, policy: bytes, revocations: Sequence[str] = (), demands: Demands | None = None
) -> dict[str, Any]:
    """Return the verdict of the script in `verify.html`."""
    files = [path]
    for number, data in enumerate([policy, *(text.encode() for text in revocations)]):
        files.append(path.with_suffix(f".trust-{number}"))
        files[-1].write_bytes(data)
    return judge_all_with_page([files], demands)[0]


def judge_several_with_page(
    path: Path, policies: Sequence[bytes], revocations: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the verdict of the script under a policy for each of several streams."""
    files = [path]
    for number, data in enumerate((*policies, *(text.encode() for text in revocations))):
        files.append(path.with_suffix(f".trust-{number}"))
        files[-1].write_bytes(data)
    verdict: dict[str, Any] = costs_with_page([files], policies=len(policies))[0]["verdict"]
    return verdict


def judge_all_with_page(
    cases: Sequence[Sequence[Path]], demands: Demands | None = None
) -> list[dict[str, Any]]:
    """Return the verdicts on many packages, each with its policy and revocations, from one run."""
    return [judged["verdict"] for judged in costs_with_page(cases, demands)]


def costs_with_page(
    cases: Sequence[Sequence[Path]], demands: Demands | None = None, *, policies: int = 1
) -> list[dict[str, Any]]:
    """Return the same as `verdict`, and beside it the `cost`: `ms`, and `kb` of memory at most until then.

    After the package come so many policies, and then revocations.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the script of verify.html is tested in Chromium only")
    script = re.search(r'<script id="verifier">(.*?)</script>', PAGE.read_text(), re.DOTALL)
    assert script, "verify.html holds no verifier"
    driver = cases[0][0].with_suffix(".cjs")
    driver.write_text(script[1] + _DRIVER)
    asked = asdict(demands) if demands else None
    files = json.dumps([[[str(path) for path in case] for case in cases], asked, policies])
    done = subprocess.run(
        [node, str(driver), files], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.split("\n") if line]
