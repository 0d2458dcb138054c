import json
from base64 import b64encode
from pathlib import Path
from typing import Any, cast

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.format import canonical, keys, merkle, note, record
from linewitness.evidence.format.canonical import NotCanonical
from linewitness.evidence.format.checkpoint import Checkpoint, open_checkpoint
from linewitness.evidence.format.note import Note, Vkey
from linewitness.evidence.format.proof import TlogProof
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.verify.chain import ChainVerifier
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.stream import read_ndjson, verify
from support.signed_message import signed_message

VECTORS = Path(__file__).parents[2] / "vectors"
CANONICAL = json.loads((VECTORS / "canonical.json").read_text())
VKEYS = {
    name: Vkey.parse(text)
    for name, text in (line.split(" ", 1) for line in (VECTORS / "vkeys.txt").read_text().splitlines())
}
ORIGIN = VKEYS["log"].name
RECORDS = (VECTORS / "chain/records.ndjson").read_bytes().splitlines()
HASHES = (VECTORS / "chain/hashes.txt").read_text().split()
LOG = SigningKey(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
EVENT2 = SigningKey(bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"))
STORE = SigningKey(bytes.fromhex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42"))


def rows(path: str) -> list[list[str]]:
    return [line.split(" ") for line in (VECTORS / path).read_text().splitlines()]


def unhex(words: list[str]) -> list[bytes]:
    return [bytes.fromhex(word) for word in words if word]


LEAVES = unhex([row[1] for row in rows("tree/leaves.txt")])
ROOTS = unhex([row[1] for row in rows("tree/roots.txt")])


def subtree(level: int, index: int) -> bytes:
    return merkle.root_of(LEAVES[index << level : (index + 1) << level])


@pytest.mark.parametrize("case", CANONICAL["accepted"], ids=lambda case: case["name"])
def test_canonical_form(case: dict[str, str]) -> None:
    form = case["canonical"].encode()
    assert canonical.encode(json.loads(case["json"])) == form
    assert canonical.encode(canonical.decode(form)) == form


@pytest.mark.parametrize("case", CANONICAL["refused"], ids=lambda case: case["name"])
def test_bytes_that_are_no_canonical_form(case: dict[str, str]) -> None:
    data = bytes.fromhex(case["hex"]) if "hex" in case else case["text"].encode()
    with pytest.raises(NotCanonical):
        canonical.decode(data)


def test_the_record_hash_covers_the_message() -> None:
    data = (VECTORS / "record/record.json").read_bytes()
    message = (VECTORS / "record/message.bin").read_bytes()
    members = record.parse(data)
    assert signed_message(members) == message
    assert record.message_of(data, members["integrity"]) == message
    assert record.sha256(message) == members["integrity"]["record_hash"] == HASHES[2]
    assert message == record.pae(record.PAYLOAD_TYPE, (VECTORS / "record/body.json").read_bytes())


def test_sealing_gives_the_same_bytes_as_openssl_did() -> None:
    for number, data in enumerate(RECORDS):
        members = record.parse(data)
        integrity = members.pop("integrity")
        seed = (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
            if number <= 4
            else EVENT2.encode().hex()
        )
        key = SigningKey(bytes.fromhex(seed))
        drafted = record.draft(
            members, stream=ORIGIN, key_id=integrity["key_id"], prev_hash=integrity["prev_hash"]
        )
        assert drafted.data(key.sign(drafted.message).signature) == data
        assert (drafted.record_hash, drafted.size) == (HASHES[number], len(data))


def test_records_without_a_signature_give_the_same_bytes() -> None:
    hashes = (VECTORS / "commit/hashes.txt").read_text().split()
    for number, data in enumerate((VECTORS / "commit/records.ndjson").read_bytes().splitlines()):
        members = record.parse(data)
        integrity = members.pop("integrity")
        link = {name: integrity[name] for name in ("stream", "key_id", "prev_hash")}
        drafted = record.draft(members, **link)
        assert drafted.record_hash == hashes[number]
        assert ("signature" in integrity) == (number not in (1, 2, 5))
        assert record.is_signed(data) == ("signature" in integrity)
        if not record.is_signed(data):
            assert drafted.data() == data


def test_the_chain_with_its_rotation_is_accepted() -> None:
    verifier = ChainVerifier(stream=ORIGIN)
    assert [verifier.accept(data).fields.record_hash for data in RECORDS] == HASHES
    assert verifier.head.event_key == str(VKEYS["event2"])
    assert verifier.head.log_key == (VECTORS / "chain/log.vkey").read_text().strip()


def test_the_proof_of_possession_is_over_the_published_message() -> None:
    body = (VECTORS / "record/possession.json").read_bytes()
    expected = record.pae(keys.POSSESSION_TYPE, body)
    place = {"stream": ORIGIN, "sequence_no": 4, "prev_hash": HASHES[3]}
    assert keys.possession_message(new=VKEYS["event2"], **cast(Any, place)) == expected
    assert (
        keys.prove_possession(EVENT2, **cast(Any, place)) == record.parse(RECORDS[4])["changes"][1]["after"]
    )


def test_keys_have_the_published_ids() -> None:
    assert keys.log_vkey(ORIGIN, LOG) == VKEYS["log"]
    assert keys.event_vkey(ORIGIN, EVENT2) == VKEYS["event2"]
    assert keys.cosigner_vkey("store.audit.example", STORE) == VKEYS["store"]
    for line in (VECTORS / "vkeys.txt").read_text().splitlines():
        name, text = line.split(" ")
        assert str(VKEYS[name]) == text


def test_leaves_and_roots() -> None:
    inputs = [b"" if row[0] == "-" else bytes.fromhex(row[0]) for row in rows("tree/leaves.txt")]
    assert [merkle.leaf_hash(data) for data in inputs] == LEAVES
    frontier = merkle.Frontier()
    assert frontier.root() == ROOTS[0]
    for size, leaf in enumerate(LEAVES, 1):
        frontier.append(leaf)
        assert frontier.root() == ROOTS[size] == merkle.root_at(size, subtree)
    for count, root in rows("chain/roots.txt"):
        assert merkle.root_of(merkle.leaf_hash(data) for data in RECORDS[: int(count)]).hex() == root


@pytest.mark.parametrize("row", rows("tree/inclusion.txt"), ids=lambda row: f"{row[0]} in {row[1]}")
def test_inclusion_proofs(row: list[str]) -> None:
    index, size, path = int(row[0]), int(row[1]), unhex(row[2:])
    assert merkle.inclusion_proof(index, size, subtree) == path
    merkle.verify_inclusion(LEAVES[index], index, size, ROOTS[size], path)


@pytest.mark.parametrize("row", rows("tree/consistency.txt"), ids=lambda row: f"{row[0]} to {row[1]}")
def test_consistency_proofs(row: list[str]) -> None:
    old, new, path = int(row[0]), int(row[1]), unhex(row[2:])
    assert merkle.consistency_proof(old, new, subtree) == path
    merkle.verify_consistency(old, ROOTS[old], new, ROOTS[new], path)


@pytest.mark.parametrize("size", [4, 7])
def test_checkpoints_and_cosignatures(size: int) -> None:
    root = merkle.root_of(merkle.leaf_hash(data) for data in RECORDS[:size])
    published = (VECTORS / f"checkpoint/{size}.checkpoint").read_text()
    assert str(Checkpoint(ORIGIN, size, root).sign(LOG)) == published
    witnessed = (VECTORS / f"checkpoint/{size}.witnessed").read_text()
    checkpoint, signed = open_checkpoint(witnessed, VKEYS["log"])
    assert checkpoint == Checkpoint(ORIGIN, size, root)
    assert signed.signed_by(VKEYS["store"]) == 1772344800 + size
    assert signed.signed_by(VKEYS["witness"]) == 1772344900 + size
    again = note.cosign(signed.text, name="store.audit.example", key=STORE, time_s=1772344800 + size)
    assert (
        str(Note.parse(published).with_signature(again))
        == (VECTORS / f"checkpoint/{size}.receipt").read_text()
    )


def chain_subtree(level: int, index: int) -> bytes:
    return merkle.root_of(merkle.leaf_hash(data) for data in RECORDS[index << level : (index + 1) << level])


def test_the_proof_of_a_record() -> None:
    published = (VECTORS / "proof/2.tlog-proof").read_text()
    receipt = (VECTORS / "checkpoint/7.receipt").read_text()
    proof = TlogProof.make(2, receipt, chain_subtree)
    assert str(proof) == published
    assert TlogProof.parse(published) == proof
    checkpoint, _ = open_checkpoint(proof.checkpoint, VKEYS["log"])
    proof.check(RECORDS[2], checkpoint)


def test_the_consistency_proof_between_two_checkpoints() -> None:
    path = unhex((VECTORS / "proof/4-7.consistency").read_text().split())
    assert merkle.consistency_proof(4, 7, chain_subtree) == path
    older, newer = (
        open_checkpoint((VECTORS / f"checkpoint/{size}.receipt").read_text(), VKEYS["log"])[0]
        for size in (4, 7)
    )
    merkle.verify_consistency(4, older.root, 7, newer.root, path)


def test_the_policy_finds_the_chain_complete() -> None:
    policy = Policy.parse((VECTORS / "policy.json").read_bytes())
    receipt = Statement("7.receipt", (VECTORS / "checkpoint/7.receipt").read_text())
    verdict = verify(read_ndjson(VECTORS / "chain/records.ndjson"), policy=policy, statements=[receipt])
    assert verdict.text == "COMPLETE to 7, attested by audit house (store store.audit.example)"


#: golang.org/x/mod/sumdb/note's published key and note, in the form that C2SP signed-note took over.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZ"
    "InNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_published_signed_note_opens() -> None:
    vkey = Vkey.parse(PETER)
    signed = Note.parse(PETERS_NOTE)
    assert signed.signed_by(vkey) == 0
    assert str(signed) == PETERS_NOTE
    with pytest.raises(note.BadNote, match="wrong"):
        Note.parse(PETERS_NOTE.replace("think", "thank")).signed_by(vkey)


def test_no_part_of_a_published_vkey_is_one() -> None:
    for first in range(len(PETER)):
        for last in range(first, len(PETER) + 1):
            if last - first < len(PETER):
                with pytest.raises(note.BadNote):
                    Vkey.parse(PETER[first:last])


#: The checkpoint with a cosignature that C2SP tlog-cosignature shows.
COSIGNED = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4"
    "URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZC"
    "B9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)


def test_the_specifications_cosigned_checkpoint_parses_to_what_its_text_says() -> None:
    signed = Note.parse(COSIGNED)
    assert str(signed) == COSIGNED
    checkpoint = Checkpoint.parse(signed.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert b64encode(checkpoint.root) == b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
    assert int.from_bytes(signed.signatures[1].signature[:8], "big") == 1679315147
    assert note._cosigned_message(signed.text, 1679315147) == (
        b"cosignature/v1\ntime 1679315147\n" + signed.text.encode()
    )


#: RFC 8032, 7.1: secret key, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_ed25519_as_published(secret: str, public: str, message: str, signature: str) -> None:
    key = SigningKey(bytes.fromhex(secret))
    assert bytes(key.verify_key).hex() == public
    assert key.sign(bytes.fromhex(message)).signature.hex() == signature
    assert Vkey("a", note.ED25519, bytes.fromhex(public)).verify(
        bytes.fromhex(message), bytes.fromhex(signature)
    )
