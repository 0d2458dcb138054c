"""Run the verifier that is inside `verify.html`, outside of a browser, in Node where it is there."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[1] / "src/linewitness/evidence/verify.html"
_DRIVER = """
const fs = require("node:fs");
verifyEvidence(new Uint8Array(fs.readFileSync(process.argv[2])), fs.readFileSync(process.argv[3]), () => {})
  .then((verdict) => console.log(JSON.stringify(verdict)));
"""


def judge_with_page(path: Path, policy: bytes) -> dict[str, Any]:
    """Return the verdict of the script in `verify.html`."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the script of verify.html is tested in Chromium only")
    script = re.search(r'<script id="verifier">(.*?)</script>', PAGE.read_text(), re.DOTALL)
    assert script, "verify.html holds no verifier"
    driver = path.with_suffix(".cjs")
    driver.write_text(script[1] + _DRIVER)
    named = path.with_suffix(".policy.json")
    named.write_bytes(policy)
    done = subprocess.run(
        [node, str(driver), str(path), str(named)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    verdict: dict[str, Any] = json.loads(done.stdout)
    return verdict
