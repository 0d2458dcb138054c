"""The customer's policy: the only thing that an auditor trusts, and so never a part of the evidence.

A policy is one JSON object (docs/format.md, section 11.2). It says which stream is meant, which keys may
speak about it, who holds each of them, and how many parties besides the gateway's must agree.
"""

import hashlib
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self

from nacl.signing import SigningKey

from linewitness.base.errors import EvidenceError, ExitCode
from linewitness.evidence.format import canonical, note
from linewitness.evidence.format.note import COSIGNATURE_V1, ED25519, BadNote, Note, Vkey
from linewitness.evidence.policy.revocation import Revocation

VERSION: Final = 1
HEADING: Final = "linewitness/policy/v1"
#: A hundred years.
MAX_AGE_S: Final = 3_155_760_000
Role = Literal["store", "witness"]

_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_REQUIRED: Final = {
    "v": int,
    "origin": str,
    "record_0": str,
    "log_key": str,
    "gateway_party": str,
    "attesters": list,
    "quorum": int,
}
_OPTIONAL: Final = {"customer_key": str, "max_age_s": int, "tsa_roots": list, "revocations": list}
_ATTESTER: Final = {"party": str, "role": str, "key": str}
_REVOCATION: Final = {"key": str, "first": int, "reason": str}


class BadPolicy(EvidenceError):
    """A policy is malformed, contradicts itself, or would prove nothing; this says nothing of a stream."""

    exit_code = ExitCode.CONFIGURATION


@dataclass(frozen=True, slots=True)
class Attester:
    """A cosigner that the customer believes: the key, what it is for, and which party holds it."""

    party: str
    role: Role
    key: Vkey


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which stream is meant, which keys are trusted, and how many parties have to agree.

    `record_0` is the record_hash of the stream's first record; `quorum` the number of different parties
    whose cosignatures are needed; `tsa_roots` DER certificates under which time stamps are believed;
    `max_age_s` how old the newest attestation may be, in seconds.
    """

    origin: str
    record_0: str
    log_key: Vkey
    gateway_party: str
    attesters: tuple[Attester, ...]
    quorum: int = 1
    customer_key: Vkey | None = None
    tsa_roots: tuple[bytes, ...] = ()
    revocations: tuple[Revocation, ...] = ()
    max_age_s: int | None = None

    def __post_init__(self) -> None:
        """Refuse a policy that contradicts itself or that proves nothing."""
        _check_form(self)
        _check_strength(self)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the policy of a JSON text, which may have blanks and any order of members."""
        members = _members(_json(data))
        origin = members["origin"]
        return cls(
            origin=origin,
            record_0=members["record_0"],
            log_key=_vkey(members["log_key"], "log_key"),
            gateway_party=members["gateway_party"],
            attesters=tuple(_attester(item) for item in members["attesters"]),
            quorum=members["quorum"],
            customer_key=_vkey(members["customer_key"], "customer_key")
            if "customer_key" in members
            else None,
            tsa_roots=tuple(_certificate(item) for item in members.get("tsa_roots", ())),
            revocations=tuple(_revocation(item, origin) for item in members.get("revocations", ())),
            max_age_s=members.get("max_age_s"),
        )

    @property
    def canonical(self) -> bytes:
        """The policy's one byte form, whose hash names it."""
        members: dict[str, Any] = {
            "v": VERSION,
            "origin": self.origin,
            "record_0": self.record_0,
            "log_key": str(self.log_key),
            "gateway_party": self.gateway_party,
            "attesters": [
                {"party": one.party, "role": one.role, "key": str(one.key)} for one in self.attesters
            ],
            "quorum": self.quorum,
        }
        if self.customer_key is not None:
            members["customer_key"] = str(self.customer_key)
        if self.max_age_s is not None:
            members["max_age_s"] = self.max_age_s
        if self.tsa_roots:
            members["tsa_roots"] = [b64encode(root).decode() for root in self.tsa_roots]
        if self.revocations:
            members["revocations"] = [
                {"key": str(one.key), "first": one.first, "reason": one.reason} for one in self.revocations
            ]
        return canonical.encode(members)

    @property
    def sha256(self) -> str:
        """`sha256:` and the hash of the canonical form."""
        return "sha256:" + hashlib.sha256(self.canonical).hexdigest()

    def sign(self, key: SigningKey, *, name: str) -> Note:
        """Return the policy as a signed note of two lines, so that it can travel without being changed."""
        text = f"{HEADING}\n{self.canonical.decode()}\n"
        return Note(text, (note.sign(text, name=name, key=key),))

    def with_revocations(self, more: Sequence[Revocation]) -> "Policy":
        """Return the policy with revocations that the customer signed later."""
        return replace(self, revocations=(*self.revocations, *more))


def open_policy(data: str, customer: Vkey) -> Policy:
    """Return the policy of a note that the customer signed; BadNote or BadPolicy otherwise."""
    signed = Note.parse(data)
    if customer.algorithm != ED25519 or signed.signed_by(customer) is None:
        raise BadNote(f"the policy is not signed by the customer key {customer.key_id}")
    heading, _, body = signed.text.partition("\n")
    if heading != HEADING:
        raise BadPolicy(f"the note is not a policy: its first line is not {HEADING}")
    return Policy.parse(body.encode())


def _check_form(policy: Policy) -> None:
    if not _HASH.fullmatch(policy.record_0):
        raise BadPolicy("record_0 is not sha256: and 64 hex digits", hint="it is the record_hash of record 0")
    if policy.log_key.algorithm != ED25519:
        raise BadPolicy(f"log_key {policy.log_key.key_id} is a cosigner's key, which signs no checkpoints")
    if policy.log_key.name != policy.origin:
        raise BadPolicy(f"log_key is named {policy.log_key.name}, but the origin is {policy.origin}")
    for one in policy.attesters:
        if one.key.algorithm != COSIGNATURE_V1:
            raise BadPolicy(
                f"the key of the {one.role} {one.key.name} is a plain signing key",
                hint="cosigners have keys of their own, whose vkeys begin with B after the second plus sign",
            )
    holders: dict[bytes, str] = {policy.log_key.public: "the log key"}
    for one in policy.attesters:
        if one.key.public in holders:
            raise BadPolicy(
                f"the key of {one.key.name} is also {holders[one.key.public]}",
                hint="each attester needs a key of its own, made for nothing else",
            )
        holders[one.key.public] = f"the key of {one.key.name}"


def _check_strength(policy: Policy) -> None:
    """Refuse a quorum that nobody can reach, or that one party reaches with its own keys."""
    parties = {one.party for one in policy.attesters}
    if policy.quorum < 1:
        raise BadPolicy(
            f"with a quorum of {policy.quorum} the gateway's own keys satisfy the policy",
            hint="name a store or a witness that another party runs, and set quorum to 1 or more",
        )
    if policy.quorum > len(parties):
        raise BadPolicy(
            f"a quorum of {policy.quorum} cannot be reached: the attesters belong to {len(parties)} parties",
            hint="several keys of one party count once",
        )
    if policy.max_age_s is not None and not 0 < policy.max_age_s <= MAX_AGE_S:
        raise BadPolicy(
            f"max_age_s is {policy.max_age_s}, and no age from 1 to {MAX_AGE_S}", hint="leave it out for none"
        )
    if policy.quorum == 1 and policy.gateway_party in parties:
        raise BadPolicy(
            f"{policy.gateway_party!r} alone satisfies the policy: it holds the gateway's keys and an"
            " attester's, so it could write another history and attest it itself",
            hint="set quorum to 2, or let another party run that attester",
        )


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
        canonical.check_profile(value)
    except RecursionError:
        raise BadPolicy("the policy is nested too deeply") from None
    except ValueError as error:
        raise BadPolicy(f"the policy is not JSON: {error}") from None
    except canonical.NotCanonical as error:
        raise BadPolicy(f"the policy: {error.what}") from None
    if not isinstance(value, dict):
        raise BadPolicy("the policy is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BadPolicy("the policy has a member twice")
    return members


def _members(value: dict[str, Any]) -> dict[str, Any]:
    members = _typed("the policy", value, _REQUIRED, _OPTIONAL)
    if members["v"] != VERSION:
        raise BadPolicy(f"the policy's version is {members['v']}, known is {VERSION}")
    return members


def _typed(
    where: str, value: Any, required: Mapping[str, type], optional: Mapping[str, type] | None = None
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadPolicy(f"{where} is not a JSON object")
    allowed = {**required, **(optional or {})}
    for name, content in value.items():
        if name not in allowed:
            raise BadPolicy(f"{where} has the unknown member {name!r}")
        if type(content) is not allowed[name]:
            raise BadPolicy(f"{name} of {where} is not of the type {allowed[name].__name__}")
    missing = required.keys() - value.keys()
    if missing:
        raise BadPolicy(f"{where} lacks {', '.join(sorted(missing))}")
    return value


def _vkey(text: str, where: str) -> Vkey:
    try:
        return Vkey.parse(text)
    except BadNote as error:
        raise BadPolicy(f"{where}: {error.what}", hint=error.hint) from None


def _attester(value: Any) -> Attester:
    members = _typed("an attester", value, _ATTESTER)
    role: Role
    match members["role"]:
        case "store":
            role = "store"
        case "witness":
            role = "witness"
        case other:
            raise BadPolicy(f"the role of an attester is store or witness, not {other!r}")
    return Attester(members["party"], role, _vkey(members["key"], "an attester's key"))


def _revocation(value: Any, origin: str) -> Revocation:
    members = _typed("a revocation", value, _REVOCATION)
    if members["first"] < 0:
        raise BadPolicy("the first record of a revocation is below 0")
    return Revocation(origin, _vkey(members["key"], "a revoked key"), members["first"], members["reason"])


def _certificate(value: Any) -> bytes:
    try:
        data = b64decode(value, validate=True)
    except (ValueError, TypeError):
        data = b""
    if not data or b64encode(data).decode() != value:
        raise BadPolicy("a TSA root is not the base64 of a certificate")
    return data
