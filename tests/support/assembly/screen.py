"""The screen beside the work, as a person reads it: over the socket, out of the page's own words."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape
from typing import Final

from support.screens import Viewer

_SERIAL: Final = re.compile(r'<p class="serial[^>]*>([^<]*)</p>')
_OPERATOR: Final = re.compile(r"Operator <b>([^<]*)</b>")
_ROW: Final = re.compile(
    r'<li class="(\w+)[^>]*>.*?<span class="name cut">([^<]*)</span>\s*'
    r'<span class="detail cut[^"]*">(.*?)</span>',
    re.DOTALL,
)
_ATTEMPT: Final = re.compile(r"attempt (\d+)<")
_HEADLINE: Final = re.compile(r"<h2><i[^>]*>[^<]*</i> ([^<:]*)")
_TEXT: Final = re.compile(r'<p class="text">([^<]*)</p>')
_MATERIAL: Final = re.compile(r'<p class="material cut">(\S+) \S+: (.*?)</p>')
_LEFT: Final = re.compile(r", ([0-9.]+) left")


@dataclass(frozen=True)
class Shown:
    """What the screen shows at one moment."""

    unit: str
    certain: bool
    attempt: int
    operator: str
    gate_open: bool
    headline: str
    states: dict[str, str]
    details: dict[str, str]
    wrong: tuple[str, ...]
    left: dict[str, float]

    @property
    def complete(self) -> bool:
        return self.headline == "Complete"

    @property
    def passed(self) -> bool:
        return self.headline.startswith("Let pass")

    @classmethod
    def read(cls, html: str) -> "Shown":
        serial, operator, headline = (
            unescape(found[1].strip()) if (found := pattern.search(html)) else ""
            for pattern in (_SERIAL, _OPERATOR, _HEADLINE)
        )
        rows = [(state, unescape(name), detail) for state, name, detail in _ROW.findall(html)]
        materials = {name: _LEFT.search(text) for name, text in _MATERIAL.findall(html)}
        return cls(
            unit="" if serial == "No unit" else serial,
            attempt=int(found[1]) if (found := _ATTEMPT.search(html)) else 1,
            certain="? not certain" not in html,
            operator="" if operator == "nobody" else operator,
            gate_open="□ gate open" in html,
            headline=headline,
            states={name: state for state, name, _ in rows},
            details={name: " ".join(detail.split()) for _, name, detail in rows},
            wrong=tuple(unescape(text) for text in _TEXT.findall(html)),
            left={name: float(found[1]) for name, found in materials.items() if found},
        )


@dataclass
class Screen:
    """One screen. `shown` is None while the gateway does not answer."""

    port: int
    station: str
    shown: Shown | None = None
    #: How often it lost its gateway.
    blackouts: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        """Show what the gateway says, until cancelled."""
        while True:
            try:
                viewer = Viewer(*await asyncio.open_connection("127.0.0.1", self.port))
            except OSError:
                await asyncio.sleep(0.02)
                continue
            try:
                if not (await viewer.begin(f"/station/{self.station}/events")).startswith("HTTP/1.1 200"):
                    await asyncio.sleep(0.02)
                    continue
                while True:
                    self._show(Shown.read((await viewer.event()).data))
            except (OSError, ValueError, EOFError, TimeoutError):
                self.blackouts += 1
            finally:
                viewer.writer.transport.abort()
                self._show(None)

    def _show(self, shown: Shown | None) -> None:
        self.shown = shown
        self._changed.set()

    async def picture(self) -> Shown:
        """Return what is shown, as soon as anything is."""
        while self.shown is None:
            await self._next()
        return self.shown

    async def sees(self, condition: Callable[[Shown], object], *, within_s: float = 2.0) -> bool:
        """Wait until the screen shows something, or it goes dark, or a person loses patience."""
        blackouts = self.blackouts
        try:
            async with asyncio.timeout(within_s):
                while self.blackouts == blackouts and self.shown is not None:
                    if condition(self.shown):
                        return True
                    await self._next()
        except TimeoutError:
            pass
        return False

    async def _next(self) -> None:
        self._changed.clear()
        await self._changed.wait()
