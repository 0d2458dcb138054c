"""Post a request over HTTP and return what comes back, whatever its status."""

import asyncio
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Final, NamedTuple

from linewitness.anchors.base import AnchorFailed

TIMEOUT_S: Final = 20.0
MAX_BYTES: Final = 1_000_000


class Response(NamedTuple):
    """An answer: its status, its type and its body, of which no more than MAX_BYTES are read."""

    status: int
    content_type: str
    body: bytes


async def post(url: str, data: bytes, *, content_type: str) -> Response:
    """Post `data`; AnchorFailed if nobody answers."""
    return await asyncio.to_thread(_post, url, data, content_type)


def _post(url: str, data: bytes, content_type: str) -> Response:
    request = urllib.request.Request(  # noqa: S310 (the options allow http and https only)
        url, data=data, headers={"Content-Type": content_type, "User-Agent": "linewitness"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 (as above)
            return Response(answer.status, answer.headers.get_content_type(), answer.read(MAX_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, error.headers.get_content_type(), error.read(MAX_BYTES))
    except (OSError, HTTPException) as error:
        raise AnchorFailed(
            f"{url} does not answer: {error}", hint="check the address and the way to it"
        ) from None
