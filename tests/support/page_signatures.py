"""Ask the verifier inside `verify.html` about single things: signatures, canonical forms, proofs."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from linewitness.evidence.format.note import ED25519, Vkey
from support.browser_verifier import PAGE

_DRIVER = """
(async () => {
  const bytes = (text) => new Uint8Array(Buffer.from(text, "hex"));
  for (const asked of JSON.parse(require("node:fs").readFileSync(0))) {
    let said;
    try {
      said = await (QUESTION)(asked);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      said = { refused: error.message };
    }
    console.log(JSON.stringify(said));
  }
})();
"""
_VERIFIES = """
  ([spelling, signature, message]) => new Vkey(spelling).verifies(bytes(message), bytes(signature))
"""


def ask_page(question: str, asked: Sequence[Any]) -> list[Any]:
    """Return what a JavaScript function over the page's own makes of each; a refusal is `refused: why`."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the script of verify.html is tested in Chromium only")
    script = re.search(r'<script id="verifier">(.*?)</script>', PAGE.read_text(), re.DOTALL)
    assert script, "verify.html holds no verifier"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "asked.cjs"
        program.write_text(script[1] + _DRIVER.replace("QUESTION", question))
        done = subprocess.run(
            [node, str(program)], input=json.dumps(asked), capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def judge_signatures(cases: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """Say of each key, signature and message whether the page takes the signature; a refused key is a no."""
    asked = [
        (str(Vkey("signer", ED25519, key)), signature.hex(), message.hex())
        for key, signature, message in cases
    ]
    return [said is True for said in ask_page(_VERIFIES, asked)]
