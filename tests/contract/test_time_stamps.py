"""Tokens that openssl made bound the times of records, where the policy names their authority's root."""

import subprocess
import time
from pathlib import Path

import pytest

from linewitness.anchors.signatures import verifies
from linewitness.evidence.command.times import verified_stamps
from linewitness.evidence.format.record import Change, parse, sha256
from linewitness.evidence.verify.statements import Statement, Token
from linewitness.evidence.verify.time_bounds import TimeBounds, TimeStamp, bounds_of
from support.chain_builder import Stream, grown
from support.packages import policy_for

CONFIG = """\
[tsa]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
ess_cert_id_alg = sha256
"""
EXTENSIONS = """\
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
basicConstraints = critical,CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


def openssl(folder: Path, command: str, *more: Path) -> None:
    subprocess.run(
        ["openssl", *command.split(), *map(str, more)], cwd=folder, check=True, capture_output=True
    )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a root, another root, and an authority under the first."""
    folder = tmp_path_factory.mktemp("authority")
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
    (folder / "extensions").write_text(EXTENSIONS)
    for name in ("root", "other"):
        openssl(
            folder,
            f"req -x509 -newkey rsa:2048 -nodes -subj /CN={name} -days 30 -keyout {name}.key -out {name}.pem",
        )
        openssl(folder, f"x509 -in {name}.pem -outform DER -out {name}.der")
    openssl(folder, "req -newkey rsa:2048 -nodes -subj /CN=tsa.example -keyout tsa.key -out tsa.csr")
    openssl(
        folder,
        "x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -days 29"
        " -extfile extensions -out tsa.pem",
    )
    return folder


def token_over(note: str, authority: Path) -> bytes:
    (authority / "note").write_text(note)
    openssl(authority, "ts -query -data note -sha256 -cert -out query.tsq")
    openssl(authority, "ts -reply -config tsa.cnf -section tsa -queryfile query.tsq -out reply.tsr")
    return (authority / "reply.tsr").read_bytes()


def kept(note: str, token: bytes | None) -> Statement:
    source = "time stamp tsa over 7 records"
    return Statement(source, note, Token(source, token) if token else None)


def roots(authority: Path, *names: str) -> list[bytes]:
    return [(authority / f"{name}.der").read_bytes() for name in names]


def test_only_a_token_over_the_note_of_an_authority_that_the_policy_names_counts(authority: Path) -> None:
    note = grown(7).checkpoint()
    token = token_over(note, authority)
    good = kept(note, token)
    (stamp,) = verified_stamps([good, kept(note, None)], roots(authority, "other", "root"), verifies)
    assert (stamp.note, stamp.token, stamp.who) == (note, token, "tsa.example")
    assert abs(stamp.time_s - time.time()) < 60  # noqa: TID251 (openssl reads the system's clock, too)
    assert verified_stamps([good], roots(authority, "other"), verifies) == []
    assert verified_stamps([good], [], verifies) == []
    assert verified_stamps([kept(note + " ", token)], roots(authority, "root"), verifies) == []
    assert verified_stamps([kept(note, b"a witness's proof")], roots(authority, "root"), verifies) == []


def bounds(stream: Stream, stamp: TimeStamp) -> list[TimeBounds]:
    records = [parse(data) for data in stream.records]
    return list(bounds_of(records, [], policy=policy_for(stream), stamps=[stamp]))


def test_a_token_bounds_what_it_covers_and_what_cites_it(authority: Path) -> None:
    stream = grown(7)
    note = stream.checkpoint()
    token = token_over(note, authority)
    stream.add("anchor.written", (Change("checkpoint", None, sha256(note.encode())),))
    stream.add("anchor.written", (Change("proof", None, sha256(token)),))
    stream.add()
    (stamp,) = verified_stamps([kept(note, token)], roots(authority, "root"), verifies)
    found = bounds(stream, stamp)
    assert [one.not_after.time_s if one.not_after else None for one in found] == [stamp.time_s] * 7 + [
        None
    ] * 3
    assert [one.not_before.time_s if one.not_before else None for one in found] == [None] * 9 + [stamp.time_s]


def test_a_token_over_another_streams_checkpoint_proves_nothing(authority: Path) -> None:
    stream, other = grown(7), grown(7, origin="acme.example/ber-01/line-03/1", seed=7)
    note = other.checkpoint()
    (stamp,) = verified_stamps([kept(note, token_over(note, authority))], roots(authority, "root"), verifies)
    assert all(one.not_after is None for one in bounds(stream, stamp))
