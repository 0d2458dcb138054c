"""A notice names one record, is signed by the log key, and is taken for nothing else."""

from pathlib import Path

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.format import note
from linewitness.evidence.format.checkpoint import Checkpoint, open_checkpoint
from linewitness.evidence.format.keys import cosigner_vkey
from linewitness.evidence.format.note import BadNote, Note
from linewitness.evidence.format.notice import HEADING, RecordNotice, claimed_origin, open_notice
from linewitness.evidence.policy.policy import Attester, Policy
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.stream import verify
from support.fake_gateway import FakeGateway

VECTORS = Path(__file__).parents[2] / "vectors"


@pytest.fixture
def gateway() -> FakeGateway:
    gateway = FakeGateway()
    gateway.grow(3, unit="SN-1 \u2028 \u007f é")
    return gateway


def notice(gateway: FakeGateway, seq: int, key: SigningKey | None = None, text: str | None = None) -> str:
    """Return a signed notice; `text` replaces what is signed."""
    told = RecordNotice.of(gateway.records[seq]).text if text is None else text
    signature = note.sign(told, name=gateway.origin, key=key or gateway.log_key)
    return str(Note(told, (signature,)))


def test_notice_carries_the_exact_record(gateway: FakeGateway) -> None:
    signed = str(RecordNotice.of(gateway.records[2]).sign(gateway.log_key))
    assert signed == notice(gateway, 2)
    opened = open_notice(signed, gateway.log_vkey)
    assert (opened.origin, opened.sequence_no) == (gateway.origin, 2)
    assert (opened.record_hash, opened.data) == (gateway.hashes[2], gateway.records[2])
    assert claimed_origin(signed) == gateway.origin


def test_notice_of_the_vectors_is_read_and_written() -> None:
    vkey = note.Vkey.parse((VECTORS / "chain/log.vkey").read_text().strip())
    signed = (VECTORS / "notice/2.notice").read_text()
    opened = open_notice(signed, vkey)
    assert opened.data == (VECTORS / "record/record.json").read_bytes()
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert str(opened.sign(SigningKey(seed))) == signed


def test_a_notice_is_no_checkpoint_and_a_checkpoint_no_notice(gateway: FakeGateway) -> None:
    with pytest.raises(BadNote, match="three lines"):
        open_checkpoint(notice(gateway, 2), gateway.log_vkey)
    with pytest.raises(BadNote, match="five lines"):
        open_notice(gateway.checkpoint().decode(), gateway.log_vkey)
    assert claimed_origin(gateway.checkpoint().decode()) is None
    # Also a reader of checkpoints with more lines finds no size in the second one.
    assert not RecordNotice.of(gateway.records[2]).text.split("\n")[1].isdigit()


def test_a_notice_proves_nothing_to_the_verifier(gateway: FakeGateway) -> None:
    policy = Policy(
        origin=gateway.origin,
        record_0=gateway.record0_hash,
        log_key=gateway.log_vkey,
        gateway_party="the plant",
        attesters=(Attester("the customer", "store", cosigner_vkey("store.example", SigningKey(bytes(32)))),),
    )
    data = gateway.records[:2]
    alone = verify(iter(data), policy=policy, statements=[])
    with_notice = verify(iter(data), policy=policy, statements=[Statement("n", notice(gateway, 3))])
    assert with_notice.status == alone.status == "INTACT"
    assert with_notice.attested == alone.attested == 0


def test_a_notice_of_another_key_is_refused(gateway: FakeGateway) -> None:
    for key in (gateway.event_key, SigningKey.generate()):
        with pytest.raises(BadNote, match="not signed by the log key"):
            open_notice(notice(gateway, 2, key), gateway.log_vkey)


def test_a_notice_altered_after_it_was_signed_is_refused(gateway: FakeGateway) -> None:
    with pytest.raises(BadNote, match="is wrong"):
        open_notice(notice(gateway, 2).replace("12.30", "12.31"), gateway.log_vkey)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (HEADING, "linewitness/notice/v2"),
        ("\n2\n", "\n3\n"),
        ("\n2\n", "\n02\n"),
        ("\n2\n", "\n2\n\n"),
        ("12.30", "12.31"),
        ('"sequence_no":2', '"sequence_no":3'),
        ("acme.example/ber-01/line-02/1\n2", "acme.example/ber-01/line-02/2\n2"),
        ("{", "["),
    ],
)
def test_a_notice_that_does_not_fit_its_record_is_refused_although_signed(
    gateway: FakeGateway, old: str, new: str
) -> None:
    told = RecordNotice.of(gateway.records[2]).text
    assert old in told
    with pytest.raises(BadNote):
        open_notice(notice(gateway, 2, text=told.replace(old, new, 1)), gateway.log_vkey)


def test_a_notice_of_another_stream_is_refused_although_signed(gateway: FakeGateway) -> None:
    other = FakeGateway(origin="acme.example/ber-01/line-03/1")
    told = RecordNotice.of(other.records[0]).text
    with pytest.raises(BadNote, match="is of"):
        open_notice(notice(gateway, 0, text=told), gateway.log_vkey)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'{"a": 1}'])
def test_bytes_that_are_no_record_get_no_notice(data: bytes) -> None:
    with pytest.raises(BadNote):
        RecordNotice.of(data)


def test_checkpoint_signed_over_a_notice_text_is_no_root(gateway: FakeGateway) -> None:
    with pytest.raises(BadNote):
        Checkpoint.parse(RecordNotice.of(gateway.records[1]).text)
