"""The published time stamps: we say what their table says, and so does openssl where it can judge them."""

import json
import subprocess
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path

import pytest

from linewitness.anchors.signatures import verifies
from linewitness.evidence.timestamps.der import BadDer
from linewitness.evidence.timestamps.timestamp import Authorities

VECTORS = Path(__file__).parents[2] / "vectors"
STAMPS = VECTORS / "stamp"
TABLE = [line.split(" ", 3) for line in (STAMPS / "stamps.txt").read_text().splitlines()]
ROOTS = tuple(map(b64decode, json.loads((STAMPS / "policy.json").read_text())["tsa_roots"]))


def stamped(name: str) -> Path:
    own = STAMPS / f"{name}.checkpoint"
    return own if own.exists() else VECTORS / f"checkpoint/{name}.checkpoint"


def test_the_table_lists_every_token() -> None:
    assert {name for name, *_ in TABLE} == {path.stem for path in STAMPS.glob("*.tsr")}


@pytest.mark.parametrize(("name", "about", "outcome", "what"), TABLE)
def test_each_token_is_judged_as_the_table_says(name: str, about: str, outcome: str, what: str) -> None:
    token, data = (STAMPS / f"{name}.tsr").read_bytes(), stamped(about).read_bytes()
    authorities = Authorities(ROOTS, verifies)
    if outcome == "good":
        stamp = authorities.open(token, data)
        time, who = what.split(" ")
        assert (stamp.name, datetime.fromtimestamp(stamp.time_s, UTC)) == (who, datetime.fromisoformat(time))
        with pytest.raises(BadDer, match="other bytes"):
            authorities.open(token, data + b"\n")
        with pytest.raises(BadDer, match="does not lead to a root"):
            Authorities((), verifies).open(token, data)
    else:
        with pytest.raises(BadDer, match=what):
            authorities.open(token, data)


@pytest.mark.parametrize(("name", "about", "outcome"), [row[:3] for row in TABLE if row[0] != "pss"])
def test_openssl_agrees(tmp_path: Path, name: str, about: str, outcome: str) -> None:
    """Of PSS it does not know."""
    roots = tmp_path / "roots.pem"
    roots.write_bytes((STAMPS / "root.pem").read_bytes() + (STAMPS / "root-ec.pem").read_bytes())
    done = subprocess.run(
        [
            *("openssl", "ts", "-verify", "-in", STAMPS / f"{name}.tsr", "-data", stamped(about)),
            *("-CAfile", roots, "-attime", "1772348400"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("Verification: OK" in done.stdout) == (outcome == "good"), done.stderr


@pytest.mark.parametrize("name", ["rsa", "ecdsa", "pss"])
def test_a_token_with_one_byte_changed_is_not_believed_or_says_the_same(name: str) -> None:
    """A changed byte is found, or lies where nothing is read: in what the signature does not cover."""
    good = (STAMPS / f"{name}.tsr").read_bytes()
    data = stamped("7").read_bytes()
    authorities = Authorities(ROOTS, verifies)
    expected = authorities.open(good, data)
    unread = 0
    for at in range(0, len(good), 5):
        changed = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        try:
            assert authorities.open(changed, data) == expected
            unread += 1
        except BadDer:
            continue
    assert unread < len(good) // 20
