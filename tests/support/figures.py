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
