"""When certificates end: logged from 30 days before."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import structlog
from cryptography import x509

from linewitness.base.clock import NS_PER_S, Clock, from_datetime

log = structlog.get_logger()

#: From this many days before its end on a certificate is a problem to be solved.
WARN_DAYS: Final = 30
#: A file of certificates is a few KiB; a bundle of all the world's authorities is below this.
MAX_BYTES: Final = 4 * 1024**2
#: Settings, at any depth, that name a file of certificates.
_SETTINGS: Final = ("ca", "certificate", "server_certificate")
_LOOK_S: Final = 24 * 3600.0
_DAY_NS: Final = 24 * 3600 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Expiry:
    """The first certificate of a file that ends: where it is used, and when it ends (Unix, ns)."""

    setting: str
    file: Path
    subject: str
    ends_ns: int

    def days_left(self, now_ns: int) -> int:
        """Return whole days until the end, negative after it."""
        return (self.ends_ns - now_ns) // _DAY_NS


def named_in(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Path]]:
    """Yield (setting, file) of every certificate that a configuration names; secrets are not read."""
    for name, value in settings.items():
        place = f"{path}.{name}" if path else name
        if name in _SETTINGS and isinstance(value, str | Path):
            yield place, Path(value)
        elif isinstance(value, Mapping):
            yield from named_in(value, place)
        elif isinstance(value, list | tuple):
            for position, item in enumerate(value):
                if isinstance(item, Mapping):
                    yield from named_in(item, f"{path or name}[{item.get('id', position)}]")


def expiries(named: Iterable[tuple[str, Path]]) -> list[Expiry]:
    """Return the ends, soonest first; what cannot be read is reported where it is used, not here."""
    found = []
    for setting, file in named:
        try:
            with file.open("rb") as stream:
                data = stream.read(MAX_BYTES)
            certificates = _certificates(data)
        except (OSError, ValueError):
            continue
        if certificates:
            first = min(certificates, key=lambda certificate: certificate.not_valid_after_utc)
            found.append(
                Expiry(
                    setting, file, first.subject.rfc4514_string(), from_datetime(first.not_valid_after_utc)
                )
            )
    return sorted(found, key=lambda expiry: expiry.ends_ns)


def _certificates(data: bytes) -> list[x509.Certificate]:
    if b"-----BEGIN CERTIFICATE-----" in data:
        return x509.load_pem_x509_certificates(data)
    return [x509.load_der_x509_certificate(data)]


class CertificateMonitor:
    """Check the certificates once a day, and log each day which of them end soon."""

    def __init__(self, named: Callable[[], Iterable[tuple[str, Path]]], *, clock: Clock) -> None:
        """Take what names the files now; nothing is read yet."""
        self._named = named
        self._clock = clock
        self.expiries: tuple[Expiry, ...] = ()

    def sentence(self, now_ns: int) -> str:
        """Return which certificate ends first, if it does soon; the empty string otherwise."""
        if not self.expiries or (days := self.expiries[0].days_left(now_ns)) >= WARN_DAYS:
            return ""
        first = self.expiries[0]
        return f"{first.setting} ends in {days} days" if days >= 0 else f"{first.setting} has ended"

    async def run(self) -> NoReturn:
        """Check until cancelled."""
        while True:
            self.expiries = tuple(await asyncio.to_thread(expiries, list(self._named())))
            now_ns = self._clock.stamp().realtime_ns
            for expiry in self.expiries:
                if (days := expiry.days_left(now_ns)) < WARN_DAYS:
                    log.warning(
                        "certificate ends soon" if days >= 0 else "certificate has ended",
                        setting=expiry.setting,
                        file=str(expiry.file),
                        subject=expiry.subject,
                        days_left=days,
                        hint="replace the file; it is read at the next connection",
                    )
            await asyncio.sleep(_LOOK_S)
