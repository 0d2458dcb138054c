"""Time-stamp tokens (RFC 3161): verify their signatures under the roots of a policy."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from linewitness.evidence.verify.time_bounds import TimeStamp

if TYPE_CHECKING:
    from linewitness.evidence.timestamps.algorithms import Verifies
    from linewitness.evidence.verify.statements import Statement


def signatures() -> "Verifies":
    """Return the function that verifies signatures of authorities; `evidence` itself has none."""
    from linewitness.anchors.signatures import verifies

    return verifies


def verified_stamps(statements: "Iterable[Statement]", roots: Sequence[bytes]) -> list[TimeStamp]:
    """Return the tokens that authorities with these roots (DER) signed."""
    from linewitness.evidence.timestamps.der import BadDer
    from linewitness.evidence.timestamps.timestamp import Authorities

    authorities = Authorities(tuple(roots), signatures())
    found: list[TimeStamp] = []
    for one in statements if roots else ():
        if one.token is None:
            continue
        try:
            stamp = authorities.open(one.token.data, one.text.encode())
        except BadDer:
            continue  # the verdict's remarks say why
        found.append(TimeStamp(one.text, one.token.data, stamp.time_s, stamp.name))
    return found
