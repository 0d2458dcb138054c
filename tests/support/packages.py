"""Build evidence packages for the tests: whole streams and selections, with all private keys known."""

import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from linewitness.anchors.signatures import verifies
from linewitness.evidence.command.demands import Demands
from linewitness.evidence.command.verify import VerifyRequest
from linewitness.evidence.format import keys, merkle, note
from linewitness.evidence.format.merkle import leaf_hash
from linewitness.evidence.format.note import Note
from linewitness.evidence.format.proof import TlogProof
from linewitness.evidence.package.archive import BadPackage
from linewitness.evidence.package.open import open_evidence
from linewitness.evidence.package.write import PackageContents, write_package
from linewitness.evidence.policy.policy import Attester, BadPolicy, Policy
from linewitness.evidence.policy.trust import read_trust
from linewitness.evidence.timestamps.algorithms import Verifies
from linewitness.evidence.verify.verdict import Verdict
from support.chain_builder import Stream
from support.zips import unzipped, zipped

#: From records, and what lies beside them, to the verdict under a policy.
Judge = Callable[..., dict[str, Any]]

STORE = SigningKey(b"s" * 32)
WITNESS = SigningKey(b"w" * 32)
TIME_S = 1_772_330_000


def policy_for(stream: Stream, **other: Any) -> Policy:
    given: dict[str, Any] = {
        "origin": stream.origin,
        "record_0": stream.hashes[0],
        "log_key": keys.log_vkey(stream.origin, stream.log_key),
        "gateway_party": "acme production",
        "attesters": (
            Attester("auditor", "store", keys.cosigner_vkey("store.example", STORE)),
            Attester("institute", "witness", keys.cosigner_vkey("witness.example", WITNESS)),
        ),
        "quorum": 1,
    }
    return Policy(**(given | other))


def receipt(
    stream: Stream,
    size: int | None = None,
    *,
    key: SigningKey = STORE,
    name: str = "store.example",
    time_s: int = TIME_S,
) -> str:
    signed = Note.parse(stream.checkpoint(size))
    return str(signed.with_signature(note.cosign(signed.text, name=name, key=key, time_s=time_s)))


def subtree_of(stream: Stream) -> merkle.Subtree:
    leaves = [leaf_hash(data) for data in stream.records]
    return lambda level, index: merkle.root_of(leaves[index << level : (index + 1) << level])


def whole(stream: Stream, path: Path, **other: Any) -> Path:
    """Write the package of all records with one receipt over all of them."""
    given: dict[str, Any] = {
        "origin": stream.origin,
        "created_at": "2026-03-02T00:00:00.000Z",
        "records": stream.records,
        "statements": (("receipts/1.receipt", receipt(stream)),),
    }
    return _write(path, PackageContents(**(given | other)))


def selection(stream: Stream, path: Path, picked: Iterable[int], **other: Any) -> Path:
    """Write the package of some records with their proofs, under one receipt over the whole stream."""
    chosen = sorted(picked)
    rotations = [at for at, data in enumerate(stream.records) if b'"kind":"key.rotated"' in data]
    key_places = [0, *(at for at in rotations if at <= chosen[-1])]
    attested = other.pop("attested", None) or receipt(stream)
    tree = subtree_of(stream)
    given: dict[str, Any] = {
        "origin": stream.origin,
        "created_at": "2026-03-02T00:00:00.000Z",
        "records": [stream.records[at] for at in chosen],
        "key_records": [stream.records[at] for at in key_places],
        "proofs": [(at, str(TlogProof.make(at, attested, tree))) for at in sorted({*chosen, *key_places})],
    }
    return _write(path, PackageContents(**(given | other)))


def several(path: Path, parts: Iterable[Path], **other: bytes) -> Path:
    """Write a package of several streams from packages of one each; `other` are beside their folders."""
    files: dict[str, bytes] = {}
    for number, part in enumerate(parts, 1):
        members = unzipped(part)
        stream = json.loads(members["records.ndjson"].partition(b"\n")[0])["integrity"]["stream"]
        files[f"streams/{number}/origin"] = f"{stream}\n".encode()
        files |= {f"streams/{number}/{name}": data for name, data in members.items()}
    return zipped(path, files | other)


def _write(path: Path, contents: PackageContents) -> Path:
    buffer = io.BytesIO()
    write_package(buffer, contents)
    path.write_bytes(buffer.getvalue())
    return path


def judge_with_python(
    path: Path, policy: bytes, revocations: Sequence[str] = (), demands: Demands | None = None
) -> dict[str, Any]:
    """Return the verdict of `linewitness.evidence` as JSON values; a refusal has the status REFUSED."""
    try:
        trust = read_trust(policy, revocations=revocations)
        found = verify_package(path, policy=trust, signatures=verifies)
        return demands.to_json(demands.applied(found, trust)) if demands else found.to_json()
    except (BadPackage, BadPolicy) as error:
        return {"status": "REFUSED", "text": str(error), "broken_at": None, "remarks": []}


def judge_several_with_python(
    path: Path, policies: Sequence[bytes], revocations: Sequence[str] = (), *, now_s: int = TIME_S
) -> tuple[dict[str, Any], int]:
    """Return what `linewitness verify --json` prints under a policy for each stream, and its exit code."""
    files = []
    for number, data in enumerate((*policies, *(text.encode() for text in revocations))):
        files.append(path.with_suffix(f".file-{number}"))
        files[-1].write_bytes(data)
    request = VerifyRequest(
        demands=Demands(now_s=now_s),
        policies=files[: len(policies)],
        revocations=files[len(policies) :],
        as_json=True,
        verifies=verifies,
    )
    lines, code = request.run(open_evidence(path))
    return json.loads("".join(lines)), code


def verify_package(path: Path, *, policy: Policy, signatures: Verifies | None = None) -> Verdict:
    """Return the verdict that `linewitness verify` prints."""
    with open_evidence(path) as source:
        return source.verify(policy=policy, verifies=signatures)
