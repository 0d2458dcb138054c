"""What a running gateway says of itself in figures, as a monitoring system asks for them."""

import asyncio
import json
import re
import urllib.error
import urllib.request
from typing import Any


async def figures(port: int) -> dict[str, float]:
    """Return the metrics without labels, by name."""
    url = f"http://127.0.0.1:{port}/metrics"
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    found = re.findall(r"^(linewitness_\w+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


async def problems(port: int) -> dict[str, dict[str, Any]]:
    """Return the problems that are present, by code."""

    def ask() -> bytes:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            return error.read()

    answer = json.loads(await asyncio.to_thread(ask))
    return {problem["code"]: problem for problem in answer["problems"]}


def page_of(log: str) -> str:
    """Return the address of the status page that a gateway's log named last."""
    return str([json.loads(line) for line in log.splitlines() if '"status page"' in line][-1]["url"])


async def asked(url: str) -> tuple[int, str]:
    """Return status and text of what a running gateway answers."""

    def get() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 (our own page)
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(get)
