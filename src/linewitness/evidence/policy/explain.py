"""Say in words what a policy asks for, and where it is weaker than it looks."""

from collections.abc import Iterator
from itertools import combinations

from linewitness.evidence.policy.policy import Policy


def explain(policy: Policy) -> Iterator[str]:
    """Yield sentences for people: which stream, who must agree, who can break it, who can revoke."""
    yield f"It is about the stream {policy.origin}, which begins with the record {policy.record_0}."
    yield f"{policy.gateway_party} holds the gateway's keys (log key {policy.log_key.key_id})."
    for one in policy.attesters:
        yield f"{one.party} runs the {one.role} {one.key.name} (key {one.key.key_id})."
    parties = list(dict.fromkeys(one.party for one in policy.attesters))
    groups = [" and ".join(group) for group in combinations(parties, policy.quorum)]
    yield "Records count as attested when " + " or ".join(groups) + " cosigned a checkpoint of them."
    others = [party for party in parties if party != policy.gateway_party]
    needed = policy.quorum - (policy.gateway_party in parties)
    together = " or ".join(" and ".join(group) for group in combinations(others, needed))
    yield (
        f"Another history could be written only by {policy.gateway_party} together with {together}: choose"
        " parties that would not do that."
    )
    if policy.quorum == len(parties):
        yield "All attesters are needed: while one is away, new records stay unattested."
    yield from _customer(policy)


def _customer(policy: Policy) -> Iterator[str]:
    if policy.customer_key is None:
        yield "It names no customer key, so a stolen key cannot be revoked without a new policy."
    else:
        key = policy.customer_key
        yield f"Keys are revoked by the customer key {key.name} ({key.key_id})."
    for one in policy.revocations:
        yield f"Revoked: {one.key.name} ({one.key.key_id}), from record {one.first} on: {one.reason}."
    if policy.max_age_s is None:
        yield "It says no age: a history without its end, with old attestations, satisfies it."
    else:
        yield f"The newest attestation may be {policy.max_age_s} s old when it is judged."
    if policy.tsa_roots:
        yield f"Time stamps are believed under {len(policy.tsa_roots)} root certificates."
    yield f"Its hash is {policy.sha256}."
