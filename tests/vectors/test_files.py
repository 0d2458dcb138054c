"""The vectors themselves, checked with sha256sum and openssl only: nothing of the product is imported."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

VECTORS = Path(__file__).parents[2] / "vectors"
RECORD = "application/vnd.linewitness.record.v1+json"
KEY_PREFIX = bytes.fromhex("302a300506032b6570032100")


def run(*command: str, data: bytes = b"") -> bytes:
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout


def sha256(data: bytes) -> str:
    return run("sha256sum", data=data).decode().split()[0]


def unbase64(text: str) -> bytes:
    return run("base64", "-d", data=text.encode())


def signed(folder: Path, public: bytes, message: bytes, signature: bytes) -> bool:
    for name, data in (("key.der", KEY_PREFIX + public), ("message", message), ("signature", signature)):
        (folder / name).write_bytes(data)
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", "key.der"]
    done = subprocess.run(
        [*command, "-in", "message", "-sigfile", "signature"], cwd=folder, capture_output=True, check=False
    )
    return done.returncode == 0


def public(name: str) -> bytes:
    vkey = dict(line.split(" ", 1) for line in (VECTORS / "vkeys.txt").read_text().splitlines())[name]
    return unbase64(vkey.split("+", 2)[2])[1:]


def test_the_script_writes_the_same_files_again(tmp_path: Path) -> None:
    run(str(VECTORS / "make.sh"), str(tmp_path))
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept = {path.relative_to(VECTORS): path.read_bytes() for path in VECTORS.rglob("*") if path.is_file()}
    by_hand = {Path("README.md"), Path("make.sh"), Path("canonical.json")}
    # The time stamps come from a script of their own, whose signatures are random, and so do the containers.
    others = {"stamp", "container"}
    assert again == {
        path: data for path, data in kept.items() if path not in by_hand and path.parts[0] not in others
    }


def test_every_record_hashes_and_verifies(tmp_path: Path) -> None:
    lines = (VECTORS / "chain/records.ndjson").read_bytes().splitlines()
    hashes = (VECTORS / "chain/hashes.txt").read_text().split()
    previous = "sha256:" + "0" * 64
    for number, line in enumerate(lines):
        integrity = json.loads(line)["integrity"]
        cut = f',"record_hash":"{integrity["record_hash"]}","signature":"{integrity["signature"]}"'
        body = line.replace(cut.encode(), b"")
        message = f"DSSEv1 {len(RECORD)} {RECORD} {len(body)} ".encode() + body
        assert "sha256:" + sha256(message) == integrity["record_hash"] == hashes[number]
        assert integrity["prev_hash"] == previous
        signature = unbase64(integrity["signature"].removeprefix("ed25519:"))
        signer = public("event1" if number <= 4 else "event2")
        assert signed(tmp_path, signer, message, signature)
        assert not signed(tmp_path, signer, message + b" ", signature)
        previous = integrity["record_hash"]


@pytest.mark.parametrize(
    ("name", "key"), [("checkpoint", "log"), ("receipt", "store"), ("witnessed", "witness")]
)
def test_notes_verify(tmp_path: Path, name: str, key: str) -> None:
    for size in (4, 7):
        text, _, block = (VECTORS / f"checkpoint/{size}.{name}").read_text().partition("\n\n")
        raw = unbase64(block.splitlines()[-1].split(" ")[2])[4:]
        message = (text + "\n").encode()
        if key != "log":
            message = f"cosignature/v1\ntime {int.from_bytes(raw[:8], 'big')}\n".encode() + message
            raw = raw[8:]
        assert signed(tmp_path, public(key), message, raw)


def test_roots_of_certificate_transparency() -> None:
    """The last root is the one that implementations of RFC 6962 publish for these eight inputs."""
    last = (VECTORS / "tree/roots.txt").read_text().splitlines()[-1]
    assert last == "8 5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_the_readmes_recipe_works(tmp_path: Path) -> None:
    shutil.copytree(VECTORS, tmp_path / "vectors")
    recipe = (VECTORS / "README.md").read_text().partition("## One record by hand")[2]
    script = "\n".join(line[4:] for line in recipe.splitlines() if line.startswith("    "))
    done = run("bash", "-euc", f"cd {tmp_path}/vectors/record\n{script}").decode()
    assert "Signature Verified Successfully" in done
    assert (VECTORS / "chain/hashes.txt").read_text().split()[2].removeprefix("sha256:") in done
