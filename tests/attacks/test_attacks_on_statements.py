"""What somebody can do to checkpoints, receipts, keys, the policy and the package."""

import json
import zipfile
from base64 import b64encode
from pathlib import Path
from typing import Any, cast

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.format import keys, merkle, note
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.note import Note, NoteSignature, Vkey
from linewitness.evidence.policy.revocation import Revocation
from support import ed25519_by_hand as hand
from support.chain_builder import Stream, grown
from support.packages import STORE, WITNESS, Judge, policy_for, receipt, selection, whole
from support.zips import unzipped, zipped


def receipts(*texts: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"receipts/{number}.receipt", text) for number, text in enumerate(texts, 1))


def does_not_count(verdict: dict[str, Any], *words: str) -> None:
    assert verdict["status"] == "INTACT", verdict
    assert verdict["attested"] == 0
    (remark,) = verdict["remarks"]
    for word in ("does not count", *words):
        assert word in remark["text"]


def test_altered_time_of_a_cosignature(judge: Judge, stream: Stream) -> None:
    good = Note.parse(receipt(stream))
    log, store = good.signatures
    moved = NoteSignature(store.name, store.key_id, (1).to_bytes(8, "big") + store.signature[8:])
    does_not_count(judge(statements=receipts(str(Note(good.text, (log, moved))))), "store.example")


def test_time_of_a_cosignature_that_no_clock_will_show(judge: Judge, stream: Stream) -> None:
    """Beyond 2^63-1, and signed all the same."""
    does_not_count(judge(statements=receipts(receipt(stream, time_s=2**63))), "store.example")
    far = judge(statements=receipts(receipt(stream, time_s=2**63 - 1)))
    assert (far["status"], far["attested"]) == ("COMPLETE", 24)


def test_a_second_false_line_of_the_same_key(judge: Judge, stream: Stream) -> None:
    good = Note.parse(receipt(stream))
    store = good.signatures[1]
    false = NoteSignature(store.name, store.key_id, (1).to_bytes(8, "big") + store.signature[8:])
    does_not_count(judge(statements=receipts(str(good.with_signature(false)))), "store.example")


def test_checkpoint_of_another_stream(judge: Judge) -> None:
    other = grown(24, origin="acme.example/ber-01/line-03/1")
    does_not_count(judge(statements=receipts(receipt(other))), "line-03")


def test_checkpoint_signed_by_somebody_else(judge: Judge, stream: Stream) -> None:
    stream.log_key = SigningKey(b"x" * 32)
    does_not_count(
        judge(statements=receipts(receipt(stream)), policy=policy_for(grown(1)).canonical), "log key"
    )


def test_cosigner_whom_nobody_named(judge: Judge, stream: Stream) -> None:
    unknown = receipt(stream, key=SigningKey(b"u" * 32), name="friend.example")
    verdict = judge(statements=receipts(unknown))
    assert (verdict["status"], verdict["attested"]) == ("INTACT", 0)


def test_log_key_in_the_place_of_the_store(judge: Judge, stream: Stream) -> None:
    posing = receipt(stream, key=stream.log_key, name="store.example")
    verdict = judge(statements=receipts(posing))
    assert (verdict["status"], verdict["attested"]) == ("INTACT", 0)


def test_one_party_signs_twice(judge: Judge, stream: Stream) -> None:
    policy = policy_for(stream, quorum=2).canonical
    twice = receipts(receipt(stream), receipt(stream, 20))
    assert judge(statements=twice, policy=policy)["attested"] == 0
    both = receipts(receipt(stream), receipt(stream, 20, key=WITNESS, name="witness.example"))
    assert judge(statements=both, policy=policy)["attested"] == 20


def test_empty_tree(judge: Judge, stream: Stream) -> None:
    empty = Checkpoint(stream.origin, 0, merkle.EMPTY_ROOT)
    signed = empty.sign(stream.log_key)
    signed = signed.with_signature(note.cosign(empty.text, name="store.example", key=STORE, time_s=1))
    assert judge(statements=receipts(str(signed)))["attested"] == 0
    verdict = judge([], statements=receipts(str(signed)))
    assert verdict["text"] == "BROKEN at record 0: there are no records"


def test_checkpoint_with_zeros_before_its_size(judge: Judge, stream: Stream) -> None:
    text = receipt(stream).replace("\n24\n", "\n024\n")
    does_not_count(judge(statements=receipts(text)), "size")


def test_rolled_back_image(judge: Judge, stream: Stream) -> None:
    """An old copy of the gateway's disk went on from record 18; the store had seen 24."""
    older = Stream()
    for data in stream.records[:18]:
        older.append(data)
    older.event_key = SigningKey(bytes([102]) * 32)
    while len(older.records) < 40:
        older.add()
    verdict = judge(older.records, statements=receipts(receipt(stream, 18), receipt(stream)))
    assert (verdict["status"], verdict["broken_at"]) == ("BROKEN", 18)


def test_two_live_forks(judge: Judge, stream: Stream) -> None:
    """Two copies of one gateway, both with receipts: each copy's receipt contradicts the other."""
    fork = Stream()
    for data in stream.records[:15]:
        fork.append(data)
    fork.event_key = SigningKey(bytes([102]) * 32)
    while len(fork.records) < 26:
        fork.add()
    both = receipts(receipt(stream, 12), receipt(stream), receipt(fork))
    for records in (fork.records, [*stream.records, *fork.records[24:]]):
        verdict = judge(records, statements=both)
        assert verdict["status"] == "BROKEN"
        assert verdict["broken_at"] in (12, 24)


@pytest.mark.parametrize("names", [("1", "2"), ("2", "1")])
def test_anchor_overwritten_by_a_newer_version(judge: Judge, stream: Stream, names: Any) -> None:
    """The thief of all keys puts an anchor of the new history beside the old one, which cannot be deleted."""
    other = Stream()
    for data in stream.records[:15]:
        other.append(data)
    other.event_key = SigningKey(bytes([102]) * 32)
    while len(other.records) < 24:
        other.add()
    old, new = (f"anchors/{name}.checkpoint" for name in names)
    anchors = ((old, stream.checkpoint()), (new, other.checkpoint()))
    verdict = judge(other.records, statements=anchors)
    assert (verdict["status"], verdict["broken_at"]) == ("BROKEN", 0)
    assert old in verdict["text"]


def weak_policy(stream: Any, **other: Any) -> bytes:
    members = json.loads(policy_for(stream).canonical) | other
    return json.dumps(members).encode()


@pytest.mark.parametrize("quorum", [0, 3])
def test_weak_policy_by_its_quorum(judge: Judge, stream: Stream, quorum: Any) -> None:
    assert judge(policy=weak_policy(stream, quorum=quorum))["status"] == "REFUSED"


def test_weak_policy_of_one_party(judge: Judge, stream: Stream) -> None:
    verdict = judge(policy=weak_policy(stream, gateway_party="auditor"))
    assert verdict["status"] == "REFUSED"
    assert "'auditor' alone satisfies" in verdict["text"]


def test_weak_policy_with_one_key_twice(judge: Judge, stream: Stream) -> None:
    attesters = json.loads(policy_for(stream).canonical)["attesters"]
    attesters[1]["key"] = str(Vkey("second.example", 4, bytes(STORE.verify_key)))
    assert judge(policy=weak_policy(stream, attesters=attesters, quorum=2))["status"] == "REFUSED"


@pytest.mark.parametrize("number", range(8))
def test_key_of_small_order_in_the_policy(judge: Judge, stream: Stream, number: int) -> None:
    """With such a key a signature can be made that is good for any message."""
    small = hand.encode(hand.torsion()[number])
    attesters = json.loads(policy_for(stream).canonical)["attesters"]
    attesters[0]["key"] = str(Vkey("store.example", 4, small))
    assert judge(policy=weak_policy(stream, attesters=attesters))["status"] == "REFUSED"


@pytest.mark.parametrize("number", [1, 2, 4])
def test_key_of_mixed_order_in_the_policy(judge: Judge, stream: Stream, number: int) -> None:
    mixed = hand.encode(hand.add(hand.times(12345, hand.BASE), hand.torsion()[number]))
    attesters = json.loads(policy_for(stream).canonical)["attesters"]
    attesters[0]["key"] = str(Vkey("store.example", 4, mixed))
    assert judge(policy=weak_policy(stream, attesters=attesters))["status"] == "REFUSED"


@pytest.mark.parametrize(
    "public", [b"\xee" + b"\xff" * 30 + b"\x7f", b"\xed" + b"\xff" * 30 + b"\x7f", b"\xff" * 32]
)
def test_key_that_is_not_canonical_in_the_policy(judge: Judge, stream: Stream, public: Any) -> None:
    attesters = json.loads(policy_for(stream).canonical)["attesters"]
    attesters[0]["key"] = str(Vkey("store.example", 4, public))
    assert judge(policy=weak_policy(stream, attesters=attesters))["status"] == "REFUSED"


SECRET = 987654321987654321


@pytest.mark.parametrize("change", ["neutral R", "small R", "mixed R", "S + L", "R not canonical"])
def test_signature_that_a_lenient_verifier_accepts(judge: Judge, stream: Stream, change: Any) -> None:
    """The holder of the store's key makes a receipt on which verifiers could disagree; ours refuse it."""
    public = hand.encode(hand.times(SECRET, hand.BASE))
    attesters = json.loads(policy_for(stream).canonical)["attesters"]
    vkey = Vkey("store.example", 4, public)
    attesters[0]["key"] = str(vkey)
    signed = Note.parse(stream.checkpoint())
    message = note._cosigned_message(signed.text, 7)
    good = hand.sign(SECRET, public, 4711, message)
    raw = {
        "neutral R": hand.sign(SECRET, public, 0, message),
        "small R": hand.sign(SECRET, public, 0, message, hand.torsion()[1]),
        "mixed R": hand.sign(SECRET, public, 4711, message, hand.torsion()[4]),
        "S + L": good[:32] + (int.from_bytes(good[32:], "little") + hand.L).to_bytes(32, "little"),
        "R not canonical": (hand.P + 1).to_bytes(32, "little") + good[32:],
    }[change]
    policy = weak_policy(stream, attesters=attesters)

    def cosigned(signature: bytes) -> str:
        line = NoteSignature("store.example", vkey.key_id, (7).to_bytes(8, "big") + signature)
        return str(signed.with_signature(line))

    assert judge(statements=receipts(cosigned(good)), policy=policy)["status"] == "COMPLETE"
    does_not_count(judge(statements=receipts(cosigned(raw)), policy=policy), "store.example")


def test_event_key_of_small_order(judge: Judge, stream: Stream) -> None:
    """A stream that announces a weak key could be signed by anybody; it is refused where it announces it."""
    weak = Vkey(f"{stream.origin}/event", 1, hand.encode(hand.torsion()[0]))
    changes = stream.rotation(SigningKey(b"n" * 32))
    stream.add("key.rotated", (changes[0]._replace(after=str(weak)), changes[1]))
    verdict = judge(statements=())
    assert (verdict["status"], verdict["broken_at"]) == ("BROKEN", 24)
    assert "weak" in verdict["text"]


def test_revoked_event_key(judge: Judge, stream: Stream) -> None:
    second = json.loads(stream.records[10])["changes"][0]["after"]
    revoked = Revocation(stream.origin, Vkey.parse(second), 16, "stolen")
    verdict = judge(policy=policy_for(stream, revocations=(revoked,)).canonical)
    assert (verdict["status"], verdict["broken_at"]) == ("BROKEN", 16)
    assert "revoked" in verdict["text"]


def test_revoked_store(judge: Judge, stream: Stream) -> None:
    revoked = Revocation(stream.origin, keys.cosigner_vkey("store.example", STORE), 12, "stolen")
    verdict = judge(policy=policy_for(stream, revocations=(revoked,)).canonical)
    does_not_count(verdict, "revoked")


def test_malicious_verifier_inside_the_package(judge: Judge) -> None:
    page = b"<script>document.write('COMPLETE')</script>"
    verdict = judge(statements=(), documents={"verify.html": page, "report.html": page})
    assert verdict["status"] == "INTACT"


def test_policy_inside_the_package(judge: Judge, stream: Stream, tmp_path: Path) -> None:
    path = whole(stream, tmp_path / "own.zip", statements=())
    with zipfile.ZipFile(path, "a") as package:
        package.writestr("policy.json", policy_for(stream).canonical)
    assert judge(path=path)["status"] == "REFUSED"


@pytest.mark.parametrize("name", ["../evil", "/evil", "receipts/../evil", "receipts\\evil"])
def test_package_that_writes_outside(judge: Judge, stream: Stream, tmp_path: Path, name: str) -> None:
    path = whole(stream, tmp_path / "own.zip")
    with zipfile.ZipFile(path, "a") as package:
        package.writestr(name, b"x")
    assert judge(path=path)["status"] == "REFUSED"


@pytest.mark.slow
@pytest.mark.parametrize(("files", "status"), [(66_000, "COMPLETE"), (300_000, "REFUSED")])
def test_package_with_very_many_files(
    judge: Judge, stream: Stream, tmp_path: Path, files: Any, status: Any
) -> None:
    """Beyond 65,535 files a zip file ends in another form; beyond 300,000 nobody needs to read it."""
    path = whole(stream, tmp_path / "own.zip")
    with zipfile.ZipFile(path, "a") as package:
        for number in range(files):
            package.writestr(f"anchors/{number}.checkpoint", b"")
    verdict = judge(path=path)
    assert (verdict["status"], len(verdict["remarks"])) == (status, 1000 if status == "COMPLETE" else 0)


@pytest.mark.parametrize("name", ["receipts/2.receipt", "anchors/x.checkpoint", "proofs/3.tlog-proof"])
def test_package_that_swells(judge: Judge, stream: Stream, tmp_path: Path, name: str) -> None:
    """A few kilobytes that unpack to many megabytes, where a note should be."""
    path = whole(stream, tmp_path / "own.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as package:
        package.writestr(name, bytes(20_000_000))
    assert path.stat().st_size < 100_000
    assert judge(path=path)["status"] == "REFUSED"


def test_selection_is_never_complete(judge: Judge, stream: Stream, tmp_path: Path) -> None:
    verdict = judge(path=selection(stream, tmp_path / "own.zip", [3, 12, 13, 22]))
    assert verdict["status"] == "INCLUDED"
    assert verdict["text"].startswith(
        "INCLUDED: 4 selected records are unaltered and among the 24 attested by"
    )


def test_selected_record_of_a_fork(judge: Judge, stream: Stream, tmp_path: Path) -> None:
    fork = grown(12, rotate_every=10)
    fork.add(reason="another")
    verdict = judge(path=selection(stream, tmp_path / "own.zip", [12], records=[fork.records[12]]))
    assert (verdict["status"], verdict["broken_at"]) == ("BROKEN", 12)


def test_selection_with_altered_proof(judge: Judge, stream: Stream, tmp_path: Path) -> None:
    path = selection(stream, tmp_path / "own.zip", [12])
    files = unzipped(path)
    lines = files["proofs/12.tlog-proof"].split(b"\n")
    lines[2] = b64encode(bytes(32))
    files["proofs/12.tlog-proof"] = b"\n".join(lines)
    verdict = judge(path=zipped(path, files))
    assert (verdict["status"], verdict["broken_at"]) == ("BROKEN", 12)


@pytest.mark.parametrize("name", ["quorum", "attesters", "log_key"])
def test_policy_that_says_one_thing_twice(judge: Judge, stream: Stream, name: str) -> None:
    text = policy_for(stream).canonical
    value = json.dumps(json.loads(text)[name]).encode()
    twice = text[:-1] + b',"' + name.encode() + b'":' + value + b"}"
    assert judge(policy=twice)["status"] == "REFUSED"


def test_policy_with_odd_but_harmless_text(judge: Judge, stream: Stream) -> None:
    odd = policy_for(stream, gateway_party=':"}{[,\\ ').canonical
    assert judge(policy=odd)["status"] == "COMPLETE"


def test_package_with_a_name_that_readers_cut_short(judge: Judge, stream: Stream, tmp_path: Path) -> None:
    path = whole(stream, tmp_path / "own.zip", statements=receipts(receipt(stream)))
    path.write_bytes(path.read_bytes().replace(b"receipts/1.receipt", b"receipts/1\0receipt"))
    assert judge(path=path)["status"] == "REFUSED"


CUSTOMER = SigningKey(b"c" * 32)
CUSTOMER_KEY = Vkey("customer.example/quality", note.ED25519, bytes(CUSTOMER.verify_key))


def signed_policy(stream: Stream, *, key: SigningKey = CUSTOMER, **other: Any) -> bytes:
    policy = policy_for(stream, customer_key=CUSTOMER_KEY, **other)
    return str(policy.sign(key, name=CUSTOMER_KEY.name)).encode()


def test_signed_policy_counts_like_a_plain_one(judge: Judge, stream: Stream) -> None:
    plain = judge(policy=policy_for(stream, customer_key=CUSTOMER_KEY).canonical)
    assert plain["status"] == "COMPLETE"
    assert judge(policy=signed_policy(stream)) == plain


def test_signed_policy_that_was_weakened(judge: Judge, stream: Stream) -> None:
    weaker = signed_policy(stream, quorum=2).replace(b'"quorum":2', b'"quorum":1')
    assert judge(policy=weaker)["status"] == "REFUSED"


def test_signed_policy_with_somebody_elses_signature(judge: Judge, stream: Stream) -> None:
    assert judge(policy=signed_policy(stream, key=SigningKey(b"x" * 32)))["status"] == "REFUSED"


def test_signed_policy_that_names_no_customer(judge: Judge, stream: Stream) -> None:
    nobody = policy_for(stream).sign(CUSTOMER, name=CUSTOMER_KEY.name)
    assert judge(policy=str(nobody).encode())["status"] == "REFUSED"


def revocation(
    stream: Stream, vkey: Vkey, first: int | str, *, key: SigningKey = CUSTOMER, origin: str | None = None
) -> str:
    return str(
        Revocation(origin or stream.origin, vkey, cast(Any, first), "stolen").sign(
            key, name=CUSTOMER_KEY.name
        )
    )


def second_key(stream: Stream) -> Vkey:
    return Vkey.parse(json.loads(stream.records[10])["changes"][0]["after"])


@pytest.mark.parametrize("signed", [False, True])
def test_revocation_that_came_later(judge: Judge, stream: Stream, signed: Any) -> None:
    policy = signed_policy(stream) if signed else policy_for(stream, customer_key=CUSTOMER_KEY).canonical
    late = revocation(stream, second_key(stream), 16)
    verdict = judge(policy=policy, revocations=[late])
    assert (verdict["status"], verdict["broken_at"]) == ("BROKEN", 16)
    assert "revoked from record 16 on (stolen)" in verdict["text"]
    store = revocation(stream, keys.cosigner_vkey("store.example", STORE), 12)
    does_not_count(judge(policy=policy, revocations=[store]), "revoked")
    assert judge(policy=policy, revocations=[store, late])["broken_at"] == 16


def test_revocation_that_covers_nothing_here_is_part_of_the_policys_hash(
    judge: Judge, stream: Stream
) -> None:
    policy = policy_for(stream, customer_key=CUSTOMER_KEY)
    late = Revocation(stream.origin, second_key(stream), 21, "stolen")
    verdict = judge(policy=policy.canonical, revocations=[revocation(stream, late.key, 21)])
    assert verdict["status"] == "COMPLETE"
    assert verdict["policy"] == policy.with_revocations([late]).sha256


def test_revoked_key_in_a_selection(judge: Judge, stream: Stream, tmp_path: Path) -> None:
    policy = policy_for(stream, customer_key=CUSTOMER_KEY).canonical
    path = selection(stream, tmp_path / "own.zip", [3, 12, 17])
    late = revocation(stream, second_key(stream), 16)
    verdict = judge(path=path, policy=policy, revocations=[late])
    assert (verdict["status"], verdict["broken_at"]) == ("BROKEN", 17)
    assert (
        judge(path=path, policy=policy, revocations=[revocation(stream, second_key(stream), 18)])["status"]
        == "INCLUDED"
    )


def spoiled_revocations(stream: Stream) -> dict[str, str]:
    good = revocation(stream, second_key(stream), 16)
    return {
        "by somebody else": revocation(stream, second_key(stream), 16, key=SigningKey(b"x" * 32)),
        "for another stream": revocation(stream, second_key(stream), 16, origin="acme.example/else/1"),
        "altered": good.replace("\n16\n", "\n23\n"),
        "not signed": good.partition("\n\n")[0],
        "empty": "",
        "a policy": signed_policy(stream).decode(),
        "first is no number": revocation(stream, second_key(stream), "016"),
        "six lines": revocation(stream, second_key(stream), "1\n2"),
    }


@pytest.mark.parametrize("name", list(spoiled_revocations(grown(12, rotate_every=10))))
def test_revocation_that_is_none_is_refused(judge: Judge, stream: Stream, name: str) -> None:
    policy = policy_for(stream, customer_key=CUSTOMER_KEY).canonical
    assert judge(policy=policy, revocations=[spoiled_revocations(stream)[name]])["status"] == "REFUSED"


def test_revocation_without_a_customer_in_the_policy_is_refused(judge: Judge, stream: Stream) -> None:
    late = revocation(stream, second_key(stream), 16)
    assert judge(policy=policy_for(stream).canonical, revocations=[late])["status"] == "REFUSED"


def test_malicious_verifier_and_report_in_the_package_change_nothing(
    judge: Judge, stream: Stream, tmp_path: Path
) -> None:
    records = list(stream.records)
    records[7] = records[7].replace(b"7.50", b"8.50")
    forged = dict.fromkeys(("report.html", "verify.html"), b"<h1>COMPLETE to 24</h1>")
    verdict = judge(path=whole(stream, tmp_path / "own.zip", records=records, documents=forged))
    assert (verdict["status"], verdict["broken_at"]) == ("BROKEN", 7)
