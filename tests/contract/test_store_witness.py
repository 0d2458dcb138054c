"""The store as a C2SP witness: it cosigns what grows, refuses the rest, and remembers before it signs."""

import asyncio
import contextlib
import signal
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from linewitness.anchors.base import AnchorFailed, Subject
from linewitness.anchors.options import WitnessOptions
from linewitness.anchors.witness import WitnessTarget
from linewitness.base.clock import SystemClock
from linewitness.evidence.format import merkle
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.keys import cosigner_vkey, log_vkey, new_key
from linewitness.evidence.format.note import Note, Vkey
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.keys import Cosigner
from linewitness.store.witness import Witness
from support.present import present

ORIGIN = "acme.example/ber-01/line-02/1"
LOG = new_key()
KEY = Cosigner("witness.example", new_key())
LEAVES = [merkle.leaf_hash(bytes([number])) for number in range(40)]


def subtree(leaves: list[bytes]) -> Callable[..., Any]:
    return lambda level, index: merkle.root_of(leaves[index << level : (index + 1) << level])


def note_of(size: int, leaves: list[bytes] = LEAVES, *, key: SigningKey = LOG, origin: str = ORIGIN) -> str:
    return str(Checkpoint(origin, size, merkle.root_of(leaves[:size])).sign(key))


def proof(old: int, new: int, leaves: list[bytes] = LEAVES) -> list[bytes]:
    return merkle.consistency_proof(old, new, subtree(leaves)) if old else []


def request(old: int, note: str, path: list[bytes] | tuple[Any, ...] = ()) -> bytes:
    hashes = "".join(f"{b64encode(step).decode()}\n" for step in path)
    return f"old {old}\n{hashes}\n{note}".encode()


def open_witness(folder: Path) -> Any:
    known = {ORIGIN: log_vkey(ORIGIN, LOG)}
    return Witness(folder / "witness.db", KEY, log_key_of=known.get, clock=SystemClock())


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Any]:
    opened = open_witness(tmp_path)
    yield opened
    opened.close()


def test_what_grows_is_cosigned(witness: Any) -> None:
    old = 0
    for size in (1, 6, 7, 8, 31, 40):
        reply = witness.add_checkpoint(request(old, note_of(size), proof(old, size)))
        assert reply.status == 200, reply
        text = note_of(size).partition("\n\n")[0] + "\n\n" + reply.body
        assert present(Note.parse(text).signed_by(KEY.vkey)) > 0
        old = size


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", 400),
        (b"old 3", 400),
        (b"old 03\n\n" + note_of(9).encode(), 400),
        (b"new 3\n\n" + note_of(9).encode(), 400),
        (b"old 3\nAAAA\n\n" + note_of(9).encode(), 400),
        (b"old 3\n\n\xff", 400),
        (request(12, note_of(9)), 400),
        (request(3, note_of(9, origin="acme.example/other/1")), 404),
        (request(3, note_of(9, key=new_key())), 403),
        (request(2, note_of(9), proof(2, 9)), 409),
        (request(0, note_of(9)), 409),
        (request(3, note_of(3, [b"\0" * 32, *LEAVES[1:]])), 409),
        (request(3, note_of(9), proof(4, 9)), 422),
        (request(3, note_of(9)), 422),
        (request(3, note_of(9, [b"\0" * 32, *LEAVES[1:]]), proof(3, 9)), 422),
        (request(3, note_of(3)), 200),
        (request(3, note_of(9), proof(3, 9)), 200),
    ],
)
def test_each_request_has_the_status_that_the_specification_gives_it(
    witness: Any, sent: Any, status: Any
) -> None:
    assert witness.add_checkpoint(request(0, note_of(3))).status == 200
    reply = witness.add_checkpoint(sent)
    assert reply.status == status, reply
    if status == 409:
        assert (reply.body, reply.content_type) == ("3\n", "text/x.tlog.size")
    if status != 200:
        assert "witness.example" not in reply.body


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    first = open_witness(tmp_path)
    first.add_checkpoint(request(0, note_of(7)))
    first.close()
    second = open_witness(tmp_path)
    assert second.add_checkpoint(request(0, note_of(5))).status == 409
    assert second.add_checkpoint(request(7, note_of(9), proof(7, 9))).status == 200
    second.close()


async def test_a_gateway_is_witnessed_over_http(tmp_path: Path) -> None:
    (tmp_path / "store.yaml").write_text(
        "database: sqlite:///store.db\nname: store.example\nkey: {file: store.key}\nmqtt: {url: 'mqtt://[::1]:9'}\n"
    )
    database = Database(f"sqlite:///{tmp_path / 'store.db'}")
    database.create()
    enroll(
        database,
        clock=SystemClock(),
        tenant="acme",
        gateway="gw-02",
        log_vkey=str(log_vkey(ORIGIN, LOG)),
        record0_hash="sha256:" + "ab" * 32,
    )
    database.close()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "linewitness", "store", "witness", "store.yaml", "--name", "witness.example"),
        *("--key", "witness.key", "--state", "witness.db", "--listen", "127.0.0.1:0"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(20):
            vkey = Vkey.parse((await present(process.stdout).readline()).decode().split()[-1])
            url = (await present(process.stdout).readline()).decode().removeprefix("ready ").strip()

        def subject(size: int, leaves: Any = LEAVES) -> Any:
            async def consistency(old: Any) -> Any:
                return proof(old, size, leaves)

            return Subject(ORIGIN, size, note_of(size, leaves), consistency)

        place = WitnessTarget(WitnessOptions(id="store", url=url, vkey=str(vkey)))
        for size in (3, 9, 9, 40):
            written = await place.write(subject(size))
            assert Note.parse(written.note).signed_by(vkey) is not None
        await WitnessTarget(WitnessOptions(id="store", url=url, vkey=str(vkey))).write(subject(40))
        with pytest.raises(AnchorFailed, match="has seen other records than ours among the first 40"):
            await place.write(subject(40, [b"\0" * 32, *LEAVES[1:]]))
        with pytest.raises(AnchorFailed, match="has seen 40 records of this stream, here are 12"):
            await place.write(subject(12))
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await process.wait() in (0, -signal.SIGTERM)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
    assert (tmp_path / "witness.key").stat().st_mode & 0o777 == 0o600
    assert vkey == cosigner_vkey("witness.example", Cosigner.load("witness.example", _secret(tmp_path)).key)


def _secret(folder: Path) -> Any:
    from linewitness.base.secrets import Secret  # noqa: PLC0415 (one test needs it)

    return Secret(file=folder / "witness.key")
