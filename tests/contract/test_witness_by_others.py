"""The witness as a stranger's client sees it: HTTP, OpenSSL's Ed25519, hashlib; ours only sets up."""

import asyncio
import base64
import contextlib
import hashlib
import http.client
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from starlette.requests import Request

from linewitness.base.clock import SystemClock
from linewitness.store import witness_http
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from support.present import present

ORIGIN = "acme.example/ber-01/line-02/1"
STRANGER = "acme.example/elsewhere/1"
STORE = """\
database: sqlite:///store.db
name: store.example
key: {file: store.key}
mqtt: {url: 'mqtt://[::1]:9'}
"""


def command(*words: str) -> Any:
    return (sys.executable, "-m", "linewitness", "store", *words)


def now() -> Any:
    return int(datetime.now(UTC).timestamp())  # noqa: TID251 (the linter's rule is for the product's parts)


class Log:
    """A log as RFC 6962 defines it, word for word."""

    def __init__(self, count: int = 64, change_at: int | None = None) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(b"\7" * 32)
        entries = [f"entry {number}" for number in range(count)]
        if change_at is not None:
            entries[change_at] = "another one"
        self.leaves = [hashlib.sha256(b"\0" + entry.encode()).digest() for entry in entries]

    def root(self, leaves: list[bytes]) -> bytes:
        if len(leaves) < 2:
            return leaves[0] if leaves else hashlib.sha256(b"").digest()
        half = self.half(len(leaves))
        return hashlib.sha256(b"\1" + self.root(leaves[:half]) + self.root(leaves[half:])).digest()

    @staticmethod
    def half(count: int) -> int:
        half = 1
        while half * 2 < count:
            half *= 2
        return half

    def proof(self, old: int, new: int) -> list[bytes]:
        return self.part(old, self.leaves[:new], whole=True) if 0 < old < new else []

    def part(self, old: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
        if old == len(leaves):
            return [] if whole else [self.root(leaves)]
        half = self.half(len(leaves))
        if old <= half:
            return [*self.part(old, leaves[:half], whole=whole), self.root(leaves[half:])]
        return [*self.part(old - half, leaves[half:], whole=False), self.root(leaves[:half])]

    def checkpoint(self, size: int, *, origin: str = ORIGIN, key: Ed25519PrivateKey | None = None) -> str:
        text = f"{origin}\n{size}\n{base64.b64encode(self.root(self.leaves[:size])).decode()}\n"
        return text + "\n" + self.line(text, origin, key or self.key)

    def line(self, text: str, name: str, key: Ed25519PrivateKey) -> str:
        public = key.public_key().public_bytes_raw()
        key_id = hashlib.sha256(name.encode() + b"\n\1" + public).digest()[:4]
        return f"\N{EM DASH} {name} {base64.b64encode(key_id + key.sign(text.encode())).decode()}\n"

    def vkey_of(self, origin: Any) -> Any:
        public = b"\1" + self.key.public_key().public_bytes_raw()
        key_id = hashlib.sha256(origin.encode() + b"\n" + public).hexdigest()[:8]
        return f"{origin}+{key_id}+{base64.b64encode(public).decode()}"


LOG = Log()
FORK = Log(change_at=1)


def asked(old: int, size: int, *, log: Log = LOG, proof: list[bytes] | None = None, **other: Any) -> bytes:
    hashes = log.proof(old, size) if proof is None else proof
    lines = "".join(base64.b64encode(each).decode() + "\n" for each in hashes)
    return f"old {old}\n{lines}\n{log.checkpoint(size, **other)}".encode()


@dataclass
class Witness:
    port: int
    name: str
    key_id: bytes
    public: Ed25519PublicKey

    def post(self, body: Any, **headers: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("POST", "/add-checkpoint", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers["content-type"], answer.read()

    def cosigned_at(self, body: Any, log: Any, size: int, *, origin: Any = ORIGIN) -> Any:
        """Verify the answer as tlog-cosignature says, and return its time."""
        (line,) = body.decode().splitlines()
        dash, name, encoded = line.split(" ")
        raw = base64.b64decode(encoded, validate=True)
        assert (dash, name, raw[:4], len(raw)) == ("\N{EM DASH}", self.name, self.key_id, 76)
        at = int.from_bytes(raw[4:12], "big")
        text = log.checkpoint(size, origin=origin).partition("\n\n")[0] + "\n"
        self.public.verify(raw[12:], f"cosignature/v1\ntime {at}\n{text}".encode())
        return at


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("witness")
    (folder / "store.yaml").write_text(STORE)
    known = (
        "--tenant",
        "acme",
        "--gateway",
        "gw",
        "--log-vkey",
        LOG.vkey_of(ORIGIN),
        "--record0",
        "sha256:" + "ab" * 32,
    )
    for words in (("init", "store.yaml"), ("enroll", "store.yaml", *known)):
        subprocess.run(command(*words), cwd=folder, check=True, capture_output=True)
    return folder


@contextlib.contextmanager
def running(folder: Path, state: Any) -> Iterator[Any]:
    words = ("witness", "store.yaml", "--name", "w.example/1", "--key", "witness.key", "--state", state)
    process = subprocess.Popen(
        command(*words, "--listen", "127.0.0.1:0"), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        name, key_id, encoded = present(process.stdout).readline().decode().split()[-1].split("+", 2)
        public = base64.b64decode(encoded)
        assert public[0] == 4
        assert hashlib.sha256(name.encode() + b"\n" + public).hexdigest()[:8] == key_id
        port = int(present(process.stdout).readline().rsplit(b":", 1)[1])
        key = Ed25519PublicKey.from_public_bytes(public[1:])
        yield Witness(port, name, bytes.fromhex(key_id), key), process
    finally:
        process.kill()
        _, errors = process.communicate()
    assert b"Traceback" not in errors, errors.decode()


@pytest.fixture(scope="module")
def witness(folder: Path) -> Iterator[Any]:
    with running(folder, "shared.db") as (served, _):
        assert served.post(asked(0, 3))[0] == 200
        yield served


def test_a_log_is_followed_from_nothing_on(folder: Path) -> None:
    with running(folder, "follow.db") as (witness, _):
        old = 0
        for size in (1, 2, 5, 8, 8, 33, 64):
            before = now()
            status, _, body = witness.post(asked(old, size))
            assert status == 200
            assert before <= witness.cosigned_at(body, LOG, size) <= now()
            old = size


def test_an_empty_log_may_be_first(folder: Path) -> None:
    with running(folder, "empty.db") as (witness, _):
        for size in (0, 0, 9):
            status, _, body = witness.post(asked(0, size))
            assert status == 200
            witness.cosigned_at(body, LOG, size)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (asked(3, 9, origin=STRANGER), 404),
        (asked(3, 9, key=Ed25519PrivateKey.generate()), 403),
        (asked(3, 9).replace(b" " + ORIGIN.encode() + b" ", b" other.example "), 403),
        (asked(3, 9, proof=LOG.proof(4, 9)), 422),
        (asked(3, 9, proof=[]), 422),
        (asked(3, 9, proof=[*LOG.proof(3, 9), bytes(32)]), 422),
        (asked(3, 3, proof=[bytes(32)]), 422),
        (asked(3, 9, log=FORK), 422),
        (asked(9, 3, proof=[]), 400),
        (asked(3, 9).replace(b"old 3", b"old 03"), 400),
        (asked(3, 9).replace(b"old 3", b"old +3"), 400),
        (asked(3, 9).replace(b"old 3", b"old -3"), 400),
        (asked(3, 9).replace(b"old 3", b"old  3"), 400),
        (asked(3, 9).replace(b"old 3", b"old\t3"), 400),
        (asked(3, 9).replace(b"old 3", b"Old 3"), 400),
        (asked(3, 9).replace(b"old 3", b"old " + b"9" * 5000), 400),
        (asked(3, 9).replace(b"\n", b"\r\n"), 400),
        (asked(3, 9, proof=[bytes(32)] * 64), 400),
        (asked(3, 9, proof=[bytes(31)]), 400),
        (asked(3, 9).replace(b"\n9\n", b"\n09\n"), 400),
        (asked(3, 9)[:-1], 400),
        (asked(3, 9).partition(b"\n\n")[0], 400),
        (b"", 400),
        (b"\n\n\n", 400),
        (b"\xff\xfe", 400),
    ],
)
def test_what_is_wrong_has_the_status_of_the_specification(witness: Any, body: bytes, status: Any) -> None:
    assert witness.post(body)[0] == status
    assert witness.post(asked(3, 3))[0] == 200, "it still stands where it stood"


@pytest.mark.parametrize("body", [asked(0, 9), asked(2, 9), asked(4, 9), asked(3, 3, log=FORK)])
def test_another_state_than_the_clients_is_said_exactly(witness: Any, body: bytes) -> None:
    assert witness.post(body) == (409, "text/x.tlog.size", b"3\n")


def test_lines_of_keys_that_nobody_knows_are_ignored(witness: Any) -> None:
    text = LOG.checkpoint(3).partition("\n\n")[0] + "\n"
    stranger = Ed25519PrivateKey.generate()
    lines = [LOG.line(text, f"cosigner.example/{number}", stranger) for number in range(15)]
    note = text + "\n" + "".join(lines) + LOG.line(text, ORIGIN, LOG.key)
    status, _, body = witness.post(f"old 3\n\n{note}".encode())
    assert status == 200
    witness.cosigned_at(body, LOG, 3)


def test_a_connection_is_kept_for_more_requests(witness: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", witness.port, timeout=20)
    with contextlib.closing(connection):
        connection.connect()
        first = connection.sock
        for _ in range(3):
            connection.request("POST", "/add-checkpoint", asked(3, 3))
            assert connection.getresponse().read()
        assert connection.sock is first


def test_other_methods_and_places_are_refused(witness: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", witness.port, timeout=20)
    with contextlib.closing(connection):
        for method, path, status in (("GET", "/add-checkpoint", 405), ("POST", "/", 404), ("PUT", "/x", 404)):
            connection.request(method, path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status


def test_a_body_without_end_is_not_read_to_its_end(witness: Any) -> None:
    with socket.create_connection(("127.0.0.1", witness.port), timeout=20) as wire:
        wire.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 50_000_000:
                wire.sendall(b"10000\r\n" + b"A" * 0x10000 + b"\r\n")
                sent += 0x10000
    assert sent < 50_000_000
    assert witness.post(b"A" * 65_537)[0] == 413
    assert witness.post(asked(3, 3))[0] == 200


def test_a_client_that_goes_away_in_the_middle_disturbs_nobody(witness: Any) -> None:
    with socket.create_connection(("127.0.0.1", witness.port), timeout=20) as wire:
        wire.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 1000\r\n\r\nold 3\n")
    assert witness.post(asked(3, 3))[0] == 200


def test_of_two_roots_of_one_size_only_one_is_ever_signed(folder: Path) -> None:
    """Two witnesses share the state, as after a careless restart, and are asked for a fork at one moment."""
    origins = [f"acme.example/race/{number}" for number in range(30)]
    enroll_in_process(folder, origins)
    with running(folder, "race.db") as (one, _), running(folder, "race.db") as (other, _):
        with ThreadPoolExecutor(8) as pool:
            for origin in origins:
                together = threading.Barrier(8)

                def ask(number: int, origin: Any = origin, together: Any = together) -> Any:
                    log = LOG if number % 2 else FORK
                    body = asked(0, 5, log=log, origin=origin)
                    together.wait(timeout=20)
                    status, kind, answer = (one, other)[number // 2 % 2].post(body)
                    if status == 200:
                        (one if number // 2 % 2 == 0 else other).cosigned_at(answer, log, 5, origin=origin)
                        return log
                    assert (status, kind, answer) == (409, "text/x.tlog.size", b"5\n")
                    return None

                signed = {log for log in pool.map(ask, range(8)) if log is not None}
                assert len(signed) == 1, f"{len(signed)} roots of one size were signed"
        status, _, _ = one.post(asked(5, 5, log=signed.pop(), origin=origin))
        assert status == 200


def enroll_in_process(folder: Path, origins: Any) -> None:
    database = Database(f"sqlite:///{folder / 'store.db'}")
    for origin in origins:
        enroll(
            database,
            clock=SystemClock(),
            tenant="acme",
            gateway="gw",
            log_vkey=LOG.vkey_of(origin),
            record0_hash="sha256:" + "ab" * 32,
        )
    database.close()


def test_killed_at_any_moment_it_remembers_what_it_signed(folder: Path) -> None:
    newest = 0
    for round_ in range(4):
        with running(folder, "killed.db") as (witness, process):
            with contextlib.suppress(OSError, http.client.HTTPException):
                for size in range(newest + 1, newest + 8):
                    if size == newest + 3 + round_:
                        process.send_signal(signal.SIGKILL)
                    status, _, body = witness.post(asked(size - 1, size))
                    if status == 200:
                        witness.cosigned_at(body, LOG, size)
                        signed = size
            newest = max(newest, signed)
        with running(folder, "killed.db") as (witness, _):
            status, _, body = witness.post(asked(0, 64))
            assert status == 409
            assert newest <= int(body) <= newest + 1
            newest = int(body)
            assert witness.post(asked(newest, newest, log=FORK) if newest > 1 else asked(0, 64))[0] == 409


def test_what_it_signs_is_not_taken_for_another_statement(witness: Any) -> None:
    status, _, body = witness.post(asked(3, 3))
    assert status == 200
    with pytest.raises(InvalidSignature):
        witness.cosigned_at(body, FORK, 3)


def test_the_stores_own_name_is_no_witness(folder: Path) -> None:
    done = subprocess.run(
        command("witness", "store.yaml", "--name", "store.example", "--key", "store.key", "--state", "s.db"),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "is the store itself" in done.stderr


async def test_a_slow_request_is_ended(witness: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness_http, "READING_S", 0.05)
    endpoint = cast(Any, witness_http.application(cast(Any, None)).routes[0]).endpoint

    async def never() -> Any:
        await asyncio.Event().wait()

    reply = await endpoint(Request({"type": "http", "method": "POST"}, never))
    assert reply.status_code == 408
