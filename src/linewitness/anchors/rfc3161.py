"""Have a time-stamping authority sign a checkpoint (RFC 3161)."""

from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from secrets import randbits
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from linewitness.anchors.base import AnchorFailed, Subject, Written
from linewitness.anchors.http import post
from linewitness.anchors.options import TimeStampOptions
from linewitness.anchors.signatures import verifies
from linewitness.base.clock import NS_PER_S, to_rfc3339
from linewitness.evidence.timestamps import der
from linewitness.evidence.timestamps.der import BadDer
from linewitness.evidence.timestamps.timestamp import Authorities

_OK: Final = 200
_VERSION: Final = 1
_NONCE_BITS: Final = 64
_TRUE: Final = b"\xff"
#: 2.16.840.1.101.3.4.2.1
_SHA256: Final = bytes.fromhex("608648016503040201")


class TimeStampTarget:
    """The token is kept in the journal: it proves that the checkpoint was there at the authority's time."""

    near = False

    def __init__(self, options: TimeStampOptions) -> None:
        """Take where the authority is, and whom to trust."""
        self.name = f"time stamp {options.id}"
        self._options = options

    async def seen(self, origin: str) -> str | None:  # noqa: ARG002 (as every place is asked)
        """Say nothing: an authority signs a hash, and remembers neither it nor the stream."""
        return None

    async def write(self, subject: Subject) -> Written:
        """Ask for a token over the note's bytes and verify it against the configured roots."""
        data = subject.note.encode()
        nonce = randbits(_NONCE_BITS)
        token = await self._ask(time_stamp_request(data, nonce))
        # Checked as years later by whoever is given the token: what a verifier would refuse is no anchor.
        authorities = Authorities(_roots(self._options.roots), verifies)
        try:
            stamp = authorities.open(token, data, nonce=nonce)
        except BadDer as error:
            raise AnchorFailed(
                f"the token of {self._options.url} does not verify: {error.what}",
                hint=f"are the authority's root certificates in {self._options.roots}?",
            ) from None
        at = to_rfc3339(stamp.time_s * NS_PER_S)
        return Written(f"{self._options.url} at {at}", subject.note, token)

    async def _ask(self, request: bytes) -> bytes:
        url = self._options.url
        try:
            answer = await post(url, request, content_type="application/timestamp-query")
        except HTTPException as error:
            raise AnchorFailed(f"{url} does not speak HTTP: {error!r}") from None
        if answer.status != _OK:
            raise AnchorFailed(f"{url} answered {answer.status}", hint="ask who runs the authority")
        return answer.body


def time_stamp_request(data: bytes, nonce: int) -> bytes:
    """Return the request (RFC 3161, 2.4.1) for a token over the SHA-256 of `data`, with certificates."""
    algorithm = der.encoded(der.SEQUENCE, der.encoded(der.OID, _SHA256), der.encoded(der.NULL))
    imprint = der.encoded(der.SEQUENCE, algorithm, der.encoded(der.OCTETS, sha256(data).digest()))
    return der.encoded(
        der.SEQUENCE,
        der.encoded_number(_VERSION),
        imprint,
        der.encoded_number(nonce),
        der.encoded(der.BOOLEAN, _TRUE),
    )


def _roots(path: Path) -> tuple[bytes, ...]:
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise AnchorFailed(
            f"{path} cannot be read: {error.strerror}", hint="name the authority's roots"
        ) from None
    except ValueError:
        raise AnchorFailed(f"{path} holds no certificates", hint="give them in PEM form") from None
    return tuple(one.public_bytes(Encoding.DER) for one in found)
