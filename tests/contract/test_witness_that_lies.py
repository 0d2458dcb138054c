"""Whatever answers in a witness's place, the gateway says that the anchor failed, and nothing worse."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from linewitness.anchors.base import AnchorFailed, Subject
from linewitness.anchors.http import post
from linewitness.anchors.options import WitnessOptions
from linewitness.anchors.witness import WitnessTarget
from linewitness.evidence.format import keys, merkle, note
from linewitness.evidence.format.checkpoint import Checkpoint

ORIGIN = "acme.example/ber-01/line-02/1"
LOG, WITNESS = keys.new_key(), keys.new_key()
NOTE = Checkpoint(ORIGIN, 1, merkle.leaf_hash(b"")).sign(LOG)
GOOD = note.cosign(NOTE.text, name="w.example", key=WITNESS, time_s=1_772_344_800)


@asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[Any]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def write(url: str) -> Any:
    async def consistency(_: Any) -> Any:
        return []

    vkey = str(keys.cosigner_vkey("w.example", WITNESS))
    place = WitnessTarget(WitnessOptions(id="w", url=url, vkey=vkey))
    return await place.write(Subject(ORIGIN, 1, str(NOTE), consistency))


def http(status: str, body: bytes, kind: str = "text/plain", *, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


async def test_the_honest_answer_is_taken() -> None:
    async with answering(http("200 OK", f"{GOOD}\n".encode())) as url:
        written = await write(url)
    assert note.Note.parse(written.note).signed_by(keys.cosigner_vkey("w.example", WITNESS)) == 1_772_344_800


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "HTTP|answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP|does not answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500, "does not speak HTTP|does not answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", "does not speak HTTP|does not answer"),
        (http("200 OK", b"too short", length=100), "no cosignature"),
        (http("200 OK", b""), "no cosignature"),
        (http("200 OK", b"\xff\xfe"), "no cosignature"),
        (http("200 OK", str(NOTE.signatures[0]).encode() + b"\n"), "without a signature"),
        (http("200 OK", f"{GOOD}\n".replace("w.example", "v.example").encode()), "without a signature"),
        (http("409 Conflict", b"9" * 5000, "text/x.tlog.size"), "which size"),
        (http("409 Conflict", b"-1\n", "text/x.tlog.size"), "which size"),
        (http("409 Conflict", b"1\n", "text/plain"), "answered 409"),
        (http("500 Oh", b"sorry"), "answered 500"),
        (b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", "answer|302"),
    ],
)
async def test_every_other_answer_is_a_failure_with_words(reply: Any, words: str) -> None:
    async with answering(reply) as url:
        with pytest.raises(AnchorFailed, match=words):
            await write(url)


async def test_what_does_not_speak_http_is_a_failure_for_every_anchor() -> None:
    async with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as url:
        with pytest.raises(AnchorFailed):
            await post(url, b"", content_type="text/plain")
