import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.format import keys, merkle
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.evidence.format.merkle import BadProof
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.proof import TlogProof, format_consistency, parse_consistency
from linewitness.evidence.package import archive as package_module
from linewitness.evidence.package.archive import BadPackage, Package
from linewitness.evidence.package.write import PackageContents, write_package
from linewitness.evidence.policy.revocation import Revocation
from support.chain_builder import ORIGIN, Stream, grown
from support.packages import policy_for, receipt, selection, subtree_of, verify_package, whole
from support.zips import unzipped, zipped


@pytest.fixture(scope="module")
def stream() -> Stream:
    return grown(40, rotate_every=9)


def repacked(path: Path, change: dict[str, bytes | None]) -> Path:
    """Write the zip again with some files replaced, or left out for None."""
    return zipped(path, unzipped(path) | change)


def test_a_whole_stream_travels_in_a_package(stream: Stream, tmp_path: Path) -> None:
    path = whole(stream, tmp_path / "a.zip")
    verdict = verify_package(path, policy=policy_for(stream))
    assert verdict.text == "COMPLETE to 40, attested by auditor (store store.example)"
    with Package.open(path) as package:
        manifest = package.manifest()
        assert list(package.records()) == stream.records
    assert (manifest["records"], manifest["origin"]) == (40, ORIGIN)
    assert "records.ndjson" in {file["name"] for file in manifest["files"]}


def test_the_same_contents_give_the_same_file(stream: Stream, tmp_path: Path) -> None:
    assert whole(stream, tmp_path / "a.zip").read_bytes() == whole(stream, tmp_path / "b.zip").read_bytes()


def test_a_selection_is_included_and_never_complete(stream: Stream, tmp_path: Path) -> None:
    path = selection(stream, tmp_path / "a.zip", [0, 3, 4, 10, 28, 39])
    verdict = verify_package(path, policy=policy_for(stream))
    assert verdict.status == "INCLUDED"
    assert verdict.text.startswith("INCLUDED: 6 selected records are unaltered and among the 40 attested by")
    assert "other records were not verified" in verdict.text


def test_a_selection_without_an_attestation_is_only_intact(stream: Stream, tmp_path: Path) -> None:
    path = selection(stream, tmp_path / "a.zip", [3])
    verdict = verify_package(path, policy=policy_for(stream, quorum=2))
    assert verdict.text == "INTACT, 1 selected records; the 40 they are among are not yet attested"


def broken(path: Path, stream: Stream, **other: Any) -> tuple[int | None, str]:
    verdict = verify_package(path, policy=policy_for(stream, **other))
    assert verdict.status == "BROKEN", verdict.text
    return verdict.broken_at, verdict.text


def test_a_selected_record_cannot_be_altered(stream: Stream, tmp_path: Path) -> None:
    path = selection(stream, tmp_path / "a.zip", [3, 5])
    spoiled = unzipped(path)["records.ndjson"].replace(b"5.50", b"5.51")
    at, text = broken(repacked(path, {"records.ndjson": spoiled}), stream)
    assert at == 5
    assert "hashes to" in text


def test_a_record_that_only_the_keys_vouch_for_is_not_in_the_stream(stream: Stream, tmp_path: Path) -> None:
    """Who holds the event key can sign another record 5, and cannot prove that it is the attested one."""
    fork = grown(5, rotate_every=9)
    fork.add(reason="another")
    path = selection(stream, tmp_path / "a.zip", [5], records=[fork.records[5]])
    at, text = broken(path, stream)
    assert at == 5
    assert "does not lead to the root" in text


def test_a_selection_needs_all_proofs_of_one_checkpoint(stream: Stream, tmp_path: Path) -> None:
    path = selection(stream, tmp_path / "a.zip", [3, 5])
    assert "holds no proof" in broken(repacked(path, {"proofs/5.tlog-proof": None}), stream)[1]
    path = selection(stream, tmp_path / "b.zip", [3, 5])
    older = str(TlogProof.make(5, receipt(stream, 30), subtree_of(stream))).encode()
    assert "another checkpoint" in broken(repacked(path, {"proofs/5.tlog-proof": older}), stream)[1]
    path = selection(stream, tmp_path / "c.zip", [3, 5])
    of_3 = unzipped(path)["proofs/3.tlog-proof"]
    assert "its proof is of record 3" in broken(repacked(path, {"proofs/5.tlog-proof": of_3}), stream)[1]


@pytest.mark.parametrize("at", [0, 9])
def test_the_records_that_announce_keys_need_proofs_too(stream: Stream, tmp_path: Path, at: int) -> None:
    """Else the thief of a retired key could announce a key of his own, in a record that no stream holds."""
    path = repacked(selection(stream, tmp_path / "a.zip", [12]), {f"proofs/{at}.tlog-proof": None})
    assert broken(path, stream) == (at, f"BROKEN at record {at}: the selection holds no proof of it")


def test_a_selection_is_under_the_log_key_of_the_policy(stream: Stream, tmp_path: Path) -> None:
    other = keys.log_vkey(ORIGIN, SigningKey(b"o" * 32))
    path = selection(stream, tmp_path / "a.zip", [12])
    assert "log key is not the one" in broken(path, stream, log_key=other)[1]


def test_neighbours_in_a_selection_are_chained(tmp_path: Path) -> None:
    """A gateway and a store that both look away could put a record into the tree that follows nothing."""
    loose = grown(6)
    loose.append(loose.seal(loose.members(), prev_hash=loose.hashes[2]))
    path = selection(loose, tmp_path / "a.zip", [5, 6])
    assert broken(path, loose) == (
        6,
        "BROKEN at record 6: its prev_hash is not the hash of the record before",
    )


def test_a_selection_needs_all_its_rotations(stream: Stream, tmp_path: Path) -> None:
    path = selection(stream, tmp_path / "a.zip", [30], key_records=[stream.records[0], stream.records[9]])
    assert "the active key is" in broken(path, stream)[1]
    path = selection(stream, tmp_path / "b.zip", [30], key_records=[])
    assert "does not hold record 0" in broken(path, stream)[1]
    path = selection(stream, tmp_path / "c.zip", [3], key_records=[stream.records[0], stream.records[3]])
    assert "rotates no key" in broken(path, stream)[1]


def test_a_selection_is_of_the_pinned_stream_and_in_order(stream: Stream, tmp_path: Path) -> None:
    other = grown(40, seed=7)
    assert "not the record 0" in broken(selection(other, tmp_path / "a.zip", [3]), stream)[1]
    twice = [stream.records[at] for at in (5, 5)]
    assert "order" in broken(selection(stream, tmp_path / "b.zip", [5], records=twice), stream)[1]
    none = broken(selection(stream, tmp_path / "c.zip", [5], records=[]), stream)
    assert "no records in the selection" in none[1]


def test_a_revoked_key_signs_no_selected_record(stream: Stream, tmp_path: Path) -> None:
    key = json.loads(stream.records[9])["changes"][0]["after"]
    revoked = Revocation(ORIGIN, Vkey.parse(key), 12, "stolen")
    path = selection(stream, tmp_path / "a.zip", [11, 12])
    at, text = broken(path, stream, revocations=(revoked,))
    assert at == 12
    assert "revoked" in text


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "/etc/passwd",
        "receipts/../../evil",
        "receipts/",
        "receipts/.hidden",
        "receipts\\evil",
        "C:evil",
        "policy.json",
        "receipts/a/b",
        "setup.py",
    ],
)
def test_files_that_do_not_belong_into_a_package_are_refused(
    stream: Stream, tmp_path: Path, name: str
) -> None:
    path = repacked(whole(stream, tmp_path / "a.zip"), {name: b"x"})
    with pytest.raises(BadPackage, match=r"does not belong|not a plain file"):
        verify_package(path, policy=policy_for(stream))


def test_a_link_a_duplicate_and_an_odd_compression_are_refused(stream: Stream, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("receipts/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    odd = zipfile.ZipInfo("receipts/odd")
    odd.compress_type = zipfile.ZIP_LZMA
    for entry, reason in ((link, "not a plain file"), (odd, "unusual way")):
        path = whole(stream, tmp_path / "a.zip")
        with zipfile.ZipFile(path, "a") as package:
            package.writestr(entry, b"x")
        with pytest.raises(BadPackage, match=reason):
            verify_package(path, policy=policy_for(stream))
    path = whole(stream, tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as package, pytest.warns(UserWarning, match="Duplicate"):
        package.writestr("records.ndjson", b"")
    with pytest.raises(BadPackage, match="twice"):
        verify_package(path, policy=policy_for(stream))


@pytest.mark.heavy
def test_a_zip_bomb_costs_neither_memory_nor_disk(stream: Stream, tmp_path: Path) -> None:
    path = repacked(whole(stream, tmp_path / "a.zip"), {"receipts/big": b"0" * 1_000_001})
    with pytest.raises(BadPackage, match="larger than"):
        verify_package(path, policy=policy_for(stream))
    path = repacked(whole(stream, tmp_path / "b.zip"), {"records.ndjson": b"0" * 50_000_000})
    assert verify_package(path, policy=policy_for(stream)).broken_at == 0


def test_notes_that_are_too_large_together_are_refused_at_once(stream: Stream, tmp_path: Path) -> None:
    notes = {f"receipts/{number}.receipt": b"\n" * 1_000_000 for number in range(21)}
    path = repacked(whole(stream, tmp_path / "a.zip"), dict(notes))
    with pytest.raises(BadPackage, match="too large together"):
        verify_package(path, policy=policy_for(stream))


def test_a_package_with_very_many_files_is_refused(
    stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = whole(stream, tmp_path / "a.zip")
    assert verify_package(path, policy=policy_for(stream)).status == "COMPLETE"
    monkeypatch.setattr(package_module, "MAX_MEMBERS", 3)
    with pytest.raises(BadPackage, match="has 4 files, more than 3"):
        verify_package(path, policy=policy_for(stream))


def test_what_is_no_package_is_refused(stream: Stream, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK")
    with pytest.raises(BadPackage, match=r"zip file"):
        verify_package(path, policy=policy_for(stream))
    path = repacked(whole(stream, tmp_path / "b.zip"), {"records.ndjson": None})
    with pytest.raises(BadPackage, match=r"holds no records\.ndjson"):
        verify_package(path, policy=policy_for(stream))
    damaged = whole(stream, tmp_path / "c.zip")
    data = bytearray(damaged.read_bytes())
    data[100:140] = bytes(40)
    damaged.write_bytes(data)
    with pytest.raises(BadPackage):
        verify_package(damaged, policy=policy_for(stream))
    for text in (b"junk", b"[]", b"[" * 100_000):
        path = repacked(whole(stream, tmp_path / "d.zip"), {"manifest.json": text})
        with Package.open(path) as package, pytest.raises(BadPackage, match="manifest"):
            package.manifest()


def test_a_receipt_that_is_not_text_counts_for_nothing(stream: Stream, tmp_path: Path) -> None:
    path = repacked(whole(stream, tmp_path / "a.zip"), {"receipts/2.receipt": b"\xff"})
    verdict = verify_package(path, policy=policy_for(stream))
    assert verdict.status == "COMPLETE"
    assert "receipts/2.receipt does not count" in verdict.remarks[0].text


def test_only_files_of_a_package_are_written(stream: Stream, tmp_path: Path) -> None:
    contents = PackageContents(origin=ORIGIN, created_at="", records=[], statements=[("../x", "y")])
    with (tmp_path / "a.zip").open("wb") as file, pytest.raises(ValueError, match="cannot be a file"):
        write_package(file, contents)


def test_a_proof_survives_its_text(stream: Stream) -> None:
    proof = TlogProof.make(7, receipt(stream), subtree_of(stream))
    again = TlogProof.parse(str(proof))
    assert again == proof
    checkpoint, _ = open_checkpoint(again.checkpoint, policy_for(stream).log_key)
    again.check(stream.records[7], checkpoint)
    with pytest.raises(BadProof):
        again.check(stream.records[8], checkpoint)
    assert TlogProof.parse(str(proof).replace("\nindex", "\nextra AAAA\nindex")) == proof


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@v1", "@v2"),
        ("index 7", "index 07"),
        ("index 7", "index -7"),
        ("index 7", "index 9007199254740992"),
        ("index 7\n", ""),
        ("\n\nacme", "\nacme"),
        ("index 7\n", "index 7\nAAAA\n"),
        ("index 7\n", "index 7\n*\n"),
    ],
)
def test_malformed_proofs_are_refused(stream: Stream, old: str, new: str) -> None:
    proof = str(TlogProof.make(7, receipt(stream), subtree_of(stream)))
    with pytest.raises(BadProof):
        TlogProof.parse(
            proof.replace(old, new, 1).replace("\n\n—", "\n—")
            if "acme" in old
            else proof.replace(old, new, 1)
        )


def test_a_consistency_proof_survives_its_text(stream: Stream) -> None:
    path = merkle.consistency_proof(23, 40, subtree_of(stream))
    assert parse_consistency(format_consistency(path)) == path
    for text in ("AAAA\n", format_consistency(path)[:-1], "*\n"):
        with pytest.raises(BadProof):
            parse_consistency(text)
