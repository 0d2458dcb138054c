import json
from typing import Any

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.format import keys
from linewitness.evidence.format.note import BadNote, Vkey
from linewitness.evidence.policy.policy import BadPolicy, Policy, open_policy
from linewitness.evidence.policy.revocation import Revocation, open_revocation

ORIGIN = "acme.example/ber-01/line-02/1"
LOG = keys.log_vkey(ORIGIN, SigningKey(b"l" * 32))
STORE = keys.cosigner_vkey("store.example", SigningKey(b"s" * 32))
WITNESS = keys.cosigner_vkey("witness.example", SigningKey(b"w" * 32))
CUSTOMER_KEY = SigningKey(b"c" * 32)
CUSTOMER = keys.log_vkey("customer.example", CUSTOMER_KEY)
EVENT = keys.event_vkey(ORIGIN, SigningKey(b"e" * 32))


def members(**other: Any) -> dict[str, Any]:
    return {
        "v": 1,
        "origin": ORIGIN,
        "record_0": "sha256:" + "a" * 64,
        "log_key": str(LOG),
        "gateway_party": "plant",
        "attesters": [
            {"party": "audit house", "role": "store", "key": str(STORE)},
            {"party": "institute", "role": "witness", "key": str(WITNESS)},
        ],
        "quorum": 1,
    } | other


def parse(**other: Any) -> Policy:
    return Policy.parse(json.dumps(members(**other), indent=2).encode())


def refused(**other: Any) -> str:
    with pytest.raises(BadPolicy) as caught:
        parse(**other)
    return str(caught.value)


def attester(party: str = "audit house", role: str = "store", key: Vkey = STORE) -> dict[str, str]:
    return {"party": party, "role": role, "key": str(key)}


def test_a_policy_may_be_written_with_blanks_and_has_one_hash() -> None:
    everything = {
        "customer_key": str(CUSTOMER),
        "tsa_roots": ["MAA="],
        "revocations": [{"key": str(EVENT), "first": 7, "reason": "stolen"}],
    }
    policy = parse(**everything)
    assert Policy.parse(policy.canonical) == policy
    assert policy.sha256 == Policy.parse(policy.canonical).sha256
    assert policy.tsa_roots == (b"0\0",)
    assert policy.revocations == (Revocation(ORIGIN, EVENT, 7, "stolen"),)


def test_a_policy_that_the_gateway_alone_satisfies_is_refused() -> None:
    assert "gateway's own keys satisfy the policy" in refused(quorum=0)
    assert "gateway's own keys satisfy the policy" in refused(quorum=0, attesters=[])
    assert "'plant' alone satisfies the policy" in refused(attesters=[attester("plant")])
    mixed = [attester("plant"), attester("x", "witness", WITNESS)]
    assert "'plant' alone satisfies" in refused(attesters=mixed)
    assert parse(attesters=mixed, quorum=2).quorum == 2


def test_a_quorum_counts_parties_not_keys() -> None:
    two_of_one = [attester(), attester("audit house", "witness", WITNESS)]
    assert "cannot be reached" in refused(attesters=two_of_one, quorum=2)
    assert "cannot be reached" in refused(quorum=3)


def test_one_key_has_one_role() -> None:
    twice = [attester("a"), attester("b")]
    assert "is also" in refused(attesters=twice, quorum=2)
    renamed = keys.cosigner_vkey("other.example", SigningKey(b"s" * 32))
    assert "is also" in refused(attesters=[attester("a"), attester("b", "witness", renamed)], quorum=2)
    log_as_store = keys.cosigner_vkey("store.example", SigningKey(b"l" * 32))
    assert "is also the log key" in refused(attesters=[attester(key=log_as_store)])


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"v": 2}, "version is 2"),
        ({"origin": "elsewhere/1"}, "but the origin is elsewhere/1"),
        ({"record_0": "a" * 64}, "record_0"),
        ({"log_key": "junk"}, "log_key: 'junk' is not a vkey"),
        ({"log_key": str(keys.cosigner_vkey(ORIGIN, SigningKey(b"l" * 32)))}, "signs no checkpoints"),
        ({"attesters": [attester(key=LOG)]}, "plain signing key"),
        ({"attesters": [attester(role="notary")]}, "not 'notary'"),
        ({"attesters": ["store"]}, "an attester is not a JSON object"),
        ({"attesters": {}}, "not of the type list"),
        ({"quorum": True}, "not of the type int"),
        ({"quorum": "1"}, "not of the type int"),
        ({"quorum": 1.0}, "type float"),
        ({"colour": "red"}, "unknown member 'colour'"),
        ({"tsa_roots": ["*"]}, "TSA root"),
        ({"tsa_roots": [7]}, "TSA root"),
        ({"tsa_roots": [""]}, "TSA root"),
        ({"tsa_roots": ["MB=="]}, "TSA root"),
        ({"revocations": [{"key": str(EVENT)}]}, "lacks first, reason"),
    ],
)
def test_a_wrong_policy_says_what_is_wrong(other: dict[str, Any], reason: str) -> None:
    assert reason in refused(**other)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"v":1,"v":1}', json.dumps({"v": 1}).encode()]
)
def test_what_is_no_policy_is_refused(data: bytes) -> None:
    with pytest.raises(BadPolicy):
        Policy.parse(data)


def test_a_policy_travels_under_the_customers_signature() -> None:
    policy = parse()
    note = str(policy.sign(CUSTOMER_KEY, name="customer.example"))
    assert open_policy(note, CUSTOMER) == policy
    with pytest.raises(BadNote, match="wrong"):
        open_policy(note.replace('"quorum":1', '"quorum":2'), CUSTOMER)
    with pytest.raises(BadNote, match="not signed"):
        open_policy(str(policy.sign(SigningKey(b"x" * 32), name="customer.example")), CUSTOMER)


def test_a_revocation_is_the_customers_and_for_this_stream() -> None:
    revocation = Revocation(ORIGIN, EVENT, 7, "the gateway was stolen")
    note = str(revocation.sign(CUSTOMER_KEY, name="customer.example"))
    assert open_revocation(note, customer=CUSTOMER, origin=ORIGIN) == revocation
    assert parse().with_revocations([revocation]).revocations == (revocation,)
    with pytest.raises(BadNote, match="wrong"):
        open_revocation(note.replace("\n7\n", "\n9\n"), customer=CUSTOMER, origin=ORIGIN)
    with pytest.raises(BadNote, match="not for elsewhere"):
        open_revocation(note, customer=CUSTOMER, origin="elsewhere/1")
    with pytest.raises(BadNote, match="not signed"):
        open_revocation(note, customer=LOG, origin=ORIGIN)
    zeros = revocation.text.replace("\n7\n", "\n07\n")
    for text in (revocation.text[:-1], "a\nb\nc\nd\ne\n", zeros):
        with pytest.raises(BadNote):
            Revocation.parse(text)


def test_a_policy_signature_is_no_revocation_and_the_other_way_round() -> None:
    policy = str(parse().sign(CUSTOMER_KEY, name="customer.example"))
    with pytest.raises(BadNote):
        open_revocation(policy, customer=CUSTOMER, origin=ORIGIN)
    revocation = Revocation(ORIGIN, EVENT, 7, "x").sign(CUSTOMER_KEY, name="customer.example")
    with pytest.raises(BadPolicy, match="not a policy"):
        open_policy(str(revocation), CUSTOMER)
