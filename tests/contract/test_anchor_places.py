"""Anchors at real places: a bucket with Object Lock, an authority of OpenSSL's, a small witness."""

import asyncio
import datetime as dt
import subprocess
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from linewitness.anchors.base import AnchorFailed, Subject
from linewitness.anchors.broker import BrokerTarget
from linewitness.anchors.options import BrokerOptions, BucketOptions, TimeStampOptions, WitnessOptions
from linewitness.anchors.rfc3161 import TimeStampTarget
from linewitness.anchors.s3 import BucketTarget
from linewitness.anchors.witness import WitnessTarget
from linewitness.base.clock import SystemClock
from linewitness.base.secrets import Secret
from linewitness.evidence.format import merkle
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.keys import cosigner_vkey, log_vkey, new_key
from linewitness.evidence.format.note import Note, cosign
from linewitness.evidence.format.proof import parse_consistency
from linewitness.uplink.mqtt import MqttConnector
from linewitness.uplink.options import MqttOptions
from support.brokers import mosquitto
from support.http_answers import serving
from support.present import present

ORIGIN = "acme.example/ber-01/line-02/1"
LOG = new_key()
WITNESS = new_key()
LEAVES = [merkle.leaf_hash(bytes([number])) for number in range(40)]


def subtree(leaves: Any) -> Any:
    return lambda level, index: merkle.root_of(leaves[index << level : (index + 1) << level])


def subject(size: int, leaves: list[bytes] = LEAVES) -> Subject:
    note = Checkpoint(ORIGIN, size, merkle.root_of(leaves[:size])).sign(LOG)

    async def consistency(old: Any) -> Any:
        return merkle.consistency_proof(old, size, subtree(leaves))

    return Subject(ORIGIN, size, str(note), consistency)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Any, BucketOptions]:
    (tmp_path / "id").write_text("AKIAEXAMPLE")
    (tmp_path / "secret").write_text("example")
    client = boto3.client(
        "s3",
        endpoint_url=s3,
        region_name="us-east-1",
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="example",
    )
    name = f"anchors-{abs(hash(request.node.name))}"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    options = BucketOptions(
        id="vault",
        bucket=name,
        prefix="line-02/",
        endpoint=s3,
        region="us-east-1",
        keep_days=365,
        access_key=Secret(file=tmp_path / "id"),
        secret_key=Secret(file=tmp_path / "secret"),
    )
    return client, options


async def test_a_checkpoint_is_locked_in_compliance_mode_and_read_back(
    bucket: tuple[Any, BucketOptions],
) -> None:
    client, options = bucket
    written = await BucketTarget(options, clock=SystemClock()).write(subject(7))
    key = f"line-02/{ORIGIN.replace('/', '_')}/000000000007.checkpoint"
    held = client.get_object(Bucket=options.bucket, Key=key)
    assert held["Body"].read().decode() == written.note == subject(7).note
    assert held["ObjectLockMode"] == "COMPLIANCE"
    until = dt.datetime.fromtimestamp(SystemClock().stamp().realtime_ns / 1e9, dt.UTC) + dt.timedelta(
        days=364
    )
    assert held["ObjectLockRetainUntilDate"] > until
    assert written.where == f"s3://{options.bucket}/{key}?versionId={held['VersionId']}"


async def test_the_oldest_version_counts(bucket: tuple[Any, BucketOptions]) -> None:
    client, options = bucket
    place = BucketTarget(options, clock=SystemClock())
    first = await place.write(subject(7))
    key = f"line-02/{subject(7).file_name}"
    client.put_object(Bucket=options.bucket, Key=key, Body=b"another history")
    assert await place.write(subject(7)) == first
    client.put_object(Bucket=options.bucket, Key=f"line-02/{subject(9).file_name}", Body=b"another history")
    with pytest.raises(AnchorFailed, match="another content"):
        await place.write(subject(9))


async def test_a_bucket_that_is_not_there_or_does_not_answer_is_said(
    bucket: tuple[Any, BucketOptions],
) -> None:
    _, options = bucket
    missing = options.model_copy(update={"bucket": "nobodys-bucket"})
    with pytest.raises(AnchorFailed, match="nobodys-bucket"):
        await BucketTarget(missing, clock=SystemClock()).write(subject(7))
    nowhere = options.model_copy(update={"endpoint": "http://127.0.0.1:9"})
    with pytest.raises(AnchorFailed, match="did not take"):
        await BucketTarget(nowhere, clock=SystemClock()).write(subject(7))


CONFIG = """\
[tsa]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
signer_digest = sha256
ess_cert_id_alg = sha256
"""


def openssl(*arguments: int | Path | str) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a root certificate and a time-stamping authority under it."""
    folder = tmp_path_factory.mktemp("tsa")
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
    (folder / "extensions").write_text(
        "extendedKeyUsage = critical,timeStamping\nkeyUsage = critical,digitalSignature\n"
        "basicConstraints = critical,CA:FALSE\nsubjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n"
    )
    for name in ("root", "other"):
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", 30),
            *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"),
        )
    openssl(
        *("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tsa.example"),
        *("-keyout", folder / "tsa.key", "-out", folder / "tsa.csr"),
    )
    openssl(
        *(
            "x509",
            "-req",
            "-in",
            folder / "tsa.csr",
            "-CA",
            folder / "root.pem",
            "-CAkey",
            folder / "root.key",
        ),
        *("-CAcreateserial", "-days", 29, "-extfile", folder / "extensions", "-out", folder / "tsa.pem"),
    )
    return folder


def responder(folder: Path) -> Callable[..., Any]:
    def answer(_path: str, query: bytes) -> tuple[int, str, bytes]:
        (folder / "query.tsq").write_bytes(query)
        openssl(
            *("ts", "-reply", "-config", folder / "tsa.cnf", "-section", "tsa"),
            *("-queryfile", folder / "query.tsq", "-out", folder / "reply.tsr"),
        )
        return 200, "application/timestamp-reply", (folder / "reply.tsr").read_bytes()

    return answer


async def test_a_token_of_openssl_is_kept_and_openssl_verifies_it(authority: Path, tmp_path: Path) -> None:
    with serving(responder(authority)) as url:
        options = TimeStampOptions(id="tsa", url=url, roots=authority / "root.pem")
        written = await TimeStampTarget(options).write(subject(7))
    (tmp_path / "token.tsr").write_bytes(present(written.proof))
    (tmp_path / "note").write_text(written.note)
    openssl(
        *("ts", "-verify", "-in", tmp_path / "token.tsr", "-data", tmp_path / "note"),
        *("-CAfile", authority / "root.pem"),
    )
    assert written.where.startswith(f"{url} at 20")


async def test_a_token_of_an_authority_that_we_do_not_trust_does_not_count(authority: Path) -> None:
    with serving(responder(authority)) as url:
        options = TimeStampOptions(id="tsa", url=url, roots=authority / "other.pem")
        with pytest.raises(AnchorFailed, match="does not verify"):
            await TimeStampTarget(options).write(subject(7))


async def test_a_token_over_something_else_does_not_count(authority: Path) -> None:
    stale = []

    def replaying(path: Any, query: Any) -> Any:
        stale.append(responder(authority)(path, query))
        return stale[0]

    with serving(replaying) as url:
        place = TimeStampTarget(TimeStampOptions(id="tsa", url=url, roots=authority / "root.pem"))
        await place.write(subject(7))
        with pytest.raises(AnchorFailed, match="does not verify"):
            await place.write(subject(9))


@pytest.mark.parametrize(
    "answer", [(500, "text/plain", b""), (200, "application/timestamp-reply", b"nonsense"), None]
)
async def test_an_authority_that_gives_nothing_is_said(authority: Path, answer: Any) -> None:
    with serving(lambda *_: answer) as url:
        options = TimeStampOptions(
            id="tsa", url=url if answer else "http://127.0.0.1:9", roots=authority / "root.pem"
        )
        with pytest.raises(AnchorFailed, match=r"127\.0\.0\.1"):
            await TimeStampTarget(options).write(subject(7))


class Witness:
    """A witness as C2SP tlog-witness describes it, for one log."""

    def __init__(self) -> None:
        self.size, self.root, self.requests = 0, merkle.EMPTY_ROOT, 0

    def __call__(self, path: Any, body: Any) -> Any:
        self.requests += 1
        assert path == "/witness/add-checkpoint"
        head, _, note = body.decode().partition("\n\n")
        old, *hashes = head.split("\n")
        signed = Note.parse(note)
        if signed.signed_by(log_vkey(ORIGIN, LOG)) is None:
            return 403, "text/plain", b""
        checkpoint = Checkpoint.parse(signed.text)
        if int(old.removeprefix("old ")) != self.size:
            return 409, "text/x.tlog.size", f"{self.size}\n".encode()
        path = parse_consistency("".join(f"{line}\n" for line in hashes))
        assert all(len(b64decode(line)) == 32 for line in hashes)
        if self.size:
            try:
                merkle.verify_consistency(self.size, self.root, checkpoint.size, checkpoint.root, path)
            except merkle.BadProof:
                return 422, "text/plain", b""
        self.size, self.root = checkpoint.size, checkpoint.root
        line = cosign(signed.text, name="witness.example", key=WITNESS, time_s=1_772_352_000)
        return 200, "text/plain", f"{line}\n".encode()


def witness_at(url: str, key: Any = WITNESS) -> Any:
    vkey = str(cosigner_vkey("witness.example", key))
    return WitnessTarget(WitnessOptions(id="first", url=f"{url}/witness/", vkey=vkey))


async def test_a_witness_cosigns_what_grows_and_the_note_carries_both_signatures() -> None:
    witness = Witness()
    with serving(witness) as url:
        place = witness_at(url)
        for size in (1, 7, 8, 40, 40):
            written = await place.write(subject(size))
            note = Note.parse(written.note)
            assert note.signed_by(log_vkey(ORIGIN, LOG)) is not None
            assert note.signed_by(cosigner_vkey("witness.example", WITNESS)) == 1_772_352_000
        assert witness.requests == 5
        # After a restart nothing is remembered: the witness says which size it knows.
        await witness_at(url).write(subject(40))
        assert witness.requests == 7


async def test_a_fork_is_refused_by_the_witness() -> None:
    other = [merkle.leaf_hash(b"other"), *LEAVES[1:]]
    with serving(Witness()) as url:
        await witness_at(url).write(subject(7))
        with pytest.raises(AnchorFailed, match="422"):
            await witness_at(url).write(subject(9, other))


async def test_a_restored_journal_is_found_by_the_witness() -> None:
    with serving(Witness()) as url:
        await witness_at(url).write(subject(30))
        with pytest.raises(AnchorFailed, match="has seen 30 records of this stream, here are 12"):
            await witness_at(url).write(subject(12))


async def test_a_cosignature_of_another_key_does_not_count() -> None:
    with serving(Witness()) as url:
        with pytest.raises(AnchorFailed, match="without a signature"):
            await witness_at(url, key=new_key()).write(subject(7))
        await asyncio.sleep(0)


async def test_a_false_cosignature_does_not_count() -> None:
    def lying(_path: Any, _body: Any) -> Any:
        line = cosign("another text\n", name="witness.example", key=WITNESS, time_s=1)
        return 200, "text/plain", f"{line}\n".encode()

    with serving(lying) as url, pytest.raises(AnchorFailed, match="no cosignature"):
        await witness_at(url).write(subject(7))


async def test_a_second_broker_gives_the_newest_checkpoint_to_everybody_who_listens(tmp_path: Path) -> None:
    async with mosquitto(tmp_path / "broker") as broker:
        url = f"mqtt://127.0.0.1:{broker.port}"
        place = BrokerTarget(BrokerOptions(id="customer", url=url))
        await place.write(subject(7))
        written = await place.write(subject(9))
        assert written.where == f"{url} linewitness/anchors/v1/{ORIGIN}"
        async with MqttConnector(MqttOptions(url=url)).connect() as customer:
            await customer.subscribe("linewitness/anchors/v1/#")
            message = await anext(aiter(customer.messages()))
        assert message.payload.decode() == written.note == subject(9).note
        assert message.topic == f"linewitness/anchors/v1/{ORIGIN}"


async def test_a_second_broker_that_is_away_is_a_failed_anchor(tmp_path: Path) -> None:
    async with mosquitto(tmp_path / "broker") as broker:
        port = broker.port
    with pytest.raises(AnchorFailed):
        await BrokerTarget(BrokerOptions(id="customer", url=f"mqtt://127.0.0.1:{port}")).write(subject(7))
