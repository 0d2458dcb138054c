"""Run the verifier that is inside `verify.html`, outside of a browser, in Node where it is there."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[1] / "src/linewitness/evidence/verify.html"
_DRIVER = """
const fs = require("node:fs");
(async () => {
  for (let at = 2; at < process.argv.length; at += 2) {
    const read = (path) => new Uint8Array(fs.readFileSync(path));
    const [evidence, policy] = process.argv.slice(at, at + 2).map(read);
    console.log(JSON.stringify(await verifyEvidence(evidence, policy, () => {})));
  }
})();
"""


def judge_with_page(path: Path, policy: bytes) -> dict[str, Any]:
    """Return the verdict of the script in `verify.html`."""
    named = path.with_suffix(".policy.json")
    named.write_bytes(policy)
    return judge_all_with_page([(path, named)])[0]


def judge_all_with_page(cases: Sequence[tuple[Path, Path]]) -> list[dict[str, Any]]:
    """Return the verdicts on many pairs of package and policy, from one run of the script."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the script of verify.html is tested in Chromium only")
    script = re.search(r'<script id="verifier">(.*?)</script>', PAGE.read_text(), re.DOTALL)
    assert script, "verify.html holds no verifier"
    driver = cases[0][0].with_suffix(".cjs")
    driver.write_text(script[1] + _DRIVER)
    files = [str(path) for case in cases for path in case]
    done = subprocess.run(
        [node, str(driver), *files], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
