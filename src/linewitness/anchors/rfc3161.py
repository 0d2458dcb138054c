"""Have a time-stamping authority sign a checkpoint (RFC 3161)."""

from pathlib import Path

from cryptography import x509

from linewitness.anchors.base import AnchorFailed, Subject, Written
from linewitness.anchors.http import post
from linewitness.anchors.options import TimeStampOptions

GRANTED = (0, 1)


class TimeStampPlace:
    """The token is kept in the journal: it proves that the checkpoint was there at the authority's time."""

    def __init__(self, options: TimeStampOptions) -> None:
        """Take where the authority is, and whom to trust."""
        self.name = f"time stamp {options.id}"
        self._options = options

    async def write(self, subject: Subject) -> Written:
        """Ask for a token over the note's bytes and verify it against the configured roots."""
        try:
            import rfc3161_client as tsp  # noqa: PLC0415 (the extra `tsa`)
        except ImportError:
            raise AnchorFailed(
                "rfc3161-client is not installed", hint="pip install 'linewitness[tsa]'"
            ) from None
        data = subject.note.encode()
        asked = tsp.TimestampRequestBuilder().data(data).hash_algorithm(tsp.HashAlgorithm.SHA256)
        request = asked.nonce(nonce=True).cert_request(cert_request=True).build()
        answer = await post(self._options.url, request.as_bytes(), content_type="application/timestamp-query")
        if answer.status != 200:  # noqa: PLR2004 (HTTP)
            raise AnchorFailed(
                f"{self._options.url} answered {answer.status}", hint="ask who runs the authority"
            )
        try:
            response = tsp.decode_timestamp_response(answer.body)
        except ValueError as error:
            raise AnchorFailed(f"{self._options.url} sent no time-stamp response: {error}") from None
        if response.status not in GRANTED:
            why = ", ".join(response.status_string)
            raise AnchorFailed(f"{self._options.url} refused: status {response.status} {why}".rstrip())
        builder = tsp.VerifierBuilder.from_request(request)
        for root in _roots(self._options.roots):
            builder = builder.add_root_certificate(root)
        try:
            builder.build().verify_message(response, data)
        except (tsp.VerificationError, ValueError) as error:
            raise AnchorFailed(
                f"the token of {self._options.url} does not verify: {error}",
                hint=f"are the authority's root certificates in {self._options.roots}?",
            ) from None
        at = response.tst_info.gen_time.isoformat()
        return Written(f"{self._options.url} at {at}", subject.note, response.as_bytes())


def _roots(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise AnchorFailed(
            f"{path} cannot be read: {error.strerror}", hint="name the authority's roots"
        ) from None
    except ValueError:
        raise AnchorFailed(f"{path} holds no certificates", hint="give them in PEM form") from None
