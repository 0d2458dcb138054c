"""Ask the verifier inside `verify.html` about single signatures."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from browser_verifier import PAGE
from linewitness.evidence.note import ED25519, Vkey

_DRIVER = """
(async () => {
  const read = (text) => new Uint8Array(Buffer.from(text, "hex"));
  for (const [spelling, signature, message] of JSON.parse(require("node:fs").readFileSync(0))) {
    let good = false;
    try {
      good = await new Vkey(spelling).verifies(read(message), read(signature));
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
    }
    console.log(JSON.stringify(good));
  }
})();
"""


def judge_signatures(cases: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """Say of each key, signature and message whether the page takes the signature; a refused key is a no."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the script of verify.html is tested in Chromium only")
    script = re.search(r'<script id="verifier">(.*?)</script>', PAGE.read_text(), re.DOTALL)
    assert script, "verify.html holds no verifier"
    asked = [
        (str(Vkey("signer", ED25519, key)), signature.hex(), message.hex())
        for key, signature, message in cases
    ]
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "judge.cjs"
        program.write_text(script[1] + _DRIVER)
        done = subprocess.run(
            [node, str(program)], input=json.dumps(asked), capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
