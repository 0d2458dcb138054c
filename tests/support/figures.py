"""What a running gateway says of itself in figures, as a monitoring system asks for them."""

import asyncio
import re
import urllib.request


async def figures(port: int) -> dict[str, float]:
    """Return the metrics without labels, by name."""
    url = f"http://127.0.0.1:{port}/metrics"
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    found = re.findall(r"^(linewitness_\w+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}
