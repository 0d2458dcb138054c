"""Time-stamp tokens (RFC 3161) that lie in a journal, checked against the roots that the policy names."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from linewitness.evidence.bounds import TimeStamp

if TYPE_CHECKING:
    from linewitness.journal.kept import StoredAttestation


def verified_stamps(kept: "Iterable[StoredAttestation]", roots: Sequence[bytes]) -> list[TimeStamp]:
    """Return the tokens that authorities with these roots (DER) signed; none without the extra `tsa`."""
    try:
        import rfc3161_client as tsp
    except ImportError:
        return []
    from cryptography import x509

    certificates = [x509.load_der_x509_certificate(root) for root in roots]
    if not certificates:
        return []
    builder = tsp.VerifierBuilder()
    for certificate in certificates:
        builder = builder.add_root_certificate(certificate)
    verifier = builder.build()
    found: list[TimeStamp] = []
    for one in kept:
        if one.proof is None:
            continue
        try:
            response = tsp.decode_timestamp_response(one.proof)
            verifier.verify_message(response, one.note.encode())
        except (tsp.VerificationError, ValueError):
            continue  # another kind of proof, or an authority that the policy does not name
        time_s = int(response.tst_info.gen_time.timestamp())
        found.append(TimeStamp(one.note, one.proof, time_s, one.source))
    return found
