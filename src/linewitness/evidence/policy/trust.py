"""Read what an auditor trusts: a policy, plain or signed by the customer, and later revocations."""

from collections.abc import Sequence

from linewitness.evidence.format.note import BadNote, Note, Vkey
from linewitness.evidence.policy.policy import HEADING, BadPolicy, Policy, open_policy
from linewitness.evidence.policy.revocation import open_revocation


def read_trust(data: bytes, *, customer: Vkey | None = None, revocations: Sequence[str] = ()) -> Policy:
    """Return the policy of a file's bytes, with revocations (signed notes) taken in.

    `customer` is the key that must have signed a signed policy. Without it the policy's own customer key
    is asked: that finds alterations, and says nothing about who made it. BadPolicy for everything wrong.
    """
    try:
        policy = _policy(data, customer)
        if not revocations:
            return policy
        key = customer or policy.customer_key
        if key is None:
            raise BadPolicy(
                "the policy names no customer_key, so nobody can revoke anything under it",
                hint="give --customer with the key that signs revocations",
            )
        return policy.with_revocations(
            [open_revocation(text, customer=key, origin=policy.origin) for text in revocations]
        )
    except BadNote as error:
        raise BadPolicy(error.what, hint=error.hint) from None


def read_policies(
    texts: Sequence[bytes], *, customer: Vkey | None = None, revocations: Sequence[str] = ()
) -> dict[str, Policy]:
    """Return policies by their streams, each with the revocations of its stream; the rest is as `read_trust`.

    BadPolicy where two are for one stream, or a revocation is for none of the streams.
    """
    plain = [read_trust(data, customer=customer) for data in texts]
    given: dict[str, bytes] = {}
    for policy, data in zip(plain, texts, strict=True):
        if policy.origin in given:
            raise BadPolicy(f"two policies are for {policy.origin}", hint="give one for each stream")
        given[policy.origin] = data
    about: dict[str, list[str]] = {origin: [] for origin in given}
    for text in revocations:
        # What is for none of them is shown to the first one, which refuses it.
        about[_stream_of(text) if _stream_of(text) in about else next(iter(about))].append(text)
    return {
        origin: read_trust(data, customer=customer, revocations=about[origin])
        for origin, data in given.items()
    }


def _stream_of(revocation: str) -> str:
    """Return the stream that a revocation is for, by its second line."""
    return "".join(revocation.split("\n", 2)[1:2])


def _policy(data: bytes, customer: Vkey | None) -> Policy:
    if not data.startswith(HEADING.encode()):
        if customer is not None:
            raise BadPolicy(
                "the policy is not signed", hint="leave out --customer if you have it from a safe place"
            )
        return Policy.parse(data)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise BadPolicy("the signed policy is not UTF-8") from None
    if customer is None:
        customer = Policy.parse(Note.parse(text).text.partition("\n")[2].encode()).customer_key
        if customer is None:
            raise BadPolicy(
                "the policy is signed, but names no customer_key", hint="say with --customer whose it is"
            )
    return open_policy(text, customer)
