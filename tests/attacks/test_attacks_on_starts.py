"""Somebody restores a journal from a copy, and has a TPM to reckon with that counts the starts."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from linewitness.evidence.tpm.quote import StartQuote, qualifying
from linewitness.evidence.verify.stream import verify
from support.chain_builder import Stream
from support.packages import Judge, selection
from support.quotes import INDEX, OTHER_KEY, WRITABLE, altered, attested, quote, start

NOT_EXCLUDED = "a restored copy is not excluded"
NO_OTHER = "the TPM counted no other start"


def judged(judge: Judge, stream: Stream) -> tuple[list[str], list[tuple[int | None, str]]]:
    """Return what is said of the time before each start, and the remarks."""
    verdict = judge(stream.records)
    assert verdict["status"] == "COMPLETE", verdict["text"]
    return said(verdict)


def said(verdict: dict[str, Any]) -> tuple[list[str], list[tuple[int | None, str]]]:
    words = [each["why"].rpartition("; ")[2] for each in verdict["without_capture"]]
    return words, [(remark["index"], remark["text"]) for remark in verdict["remarks"]]


def test_without_a_tpm_a_restored_copy_is_not_excluded(judge: Judge, stream: Stream) -> None:
    start(stream)
    start(stream)
    assert judged(judge, stream) == ([NOT_EXCLUDED, NOT_EXCLUDED], [])


def test_a_start_that_follows_the_one_before_excludes_it(judge: Judge, stream: Stream) -> None:
    start(stream, quote(stream, 7))
    start(stream, quote(stream, 8))
    assert judged(judge, stream) == ([NOT_EXCLUDED, NO_OTHER], [])


@pytest.mark.parametrize(("number", "starts"), [(9, "1 other start"), (12, "4 other starts")])
def test_a_copy_that_is_restored_lacks_the_starts_that_the_tpm_counted(
    judge: Judge, stream: Stream, number: int, starts: str
) -> None:
    start(stream, quote(stream, 7))
    start(stream, quote(stream, number))
    words, remarks = judged(judge, stream)
    assert words == [NOT_EXCLUDED, f"the TPM counted {starts}"]
    [(at, text)] = remarks
    assert at == 25
    assert text == (
        f"the TPM counted {starts} after record 24, and nothing is on record of that: this journal was"
        " restored from a copy, or a start ended before its record was durable"
    )


def test_a_start_in_between_without_the_tpm_hides_nothing(judge: Judge, stream: Stream) -> None:
    start(stream, quote(stream, 7))
    start(stream)
    start(stream, tpm_error="the TPM does not answer")
    start(stream, quote(stream, 9))
    words, remarks = judged(judge, stream)
    assert words == [NOT_EXCLUDED] * 3 + ["the TPM counted 1 other start"]
    assert [at for at, _ in remarks] == [25, 27]
    assert remarks[0][1] == "it has no TPM quote, unlike the start at record 24"


def test_a_start_that_was_not_counted_takes_the_certainty(judge: Judge, stream: Stream) -> None:
    for number in (7, None, 8, 9):
        start(stream, quote(stream, number) if number else None)
    assert judged(judge, stream)[0] == [NOT_EXCLUDED] * 3 + [NO_OTHER]


def test_another_tpm_or_a_counter_that_falls_is_remarkable(judge: Judge, stream: Stream) -> None:
    start(stream, quote(stream, 7))
    start(stream, quote(stream, 8, key=OTHER_KEY))
    start(stream, quote(stream, 8, key=OTHER_KEY))
    words, remarks = judged(judge, stream)
    assert words == [NOT_EXCLUDED] * 3
    assert remarks == [
        (25, "another TPM, or another counter of it, counts than at the start at record 24"),
        (26, "the TPM's counter stands at 8, and stood at 8 at record 25"),
    ]


def bound(stream: Stream) -> bytes:
    return qualifying(stream.origin, stream.prev_hash)


WRONG: dict[str, tuple[Callable[[Stream], StartQuote], dict[str, Any], str]] = {
    "number": (lambda s: quote(s, 8), {"tpm_counter": 9}, "the record states another number than the TPM"),
    "text": (lambda s: quote(s, 8), {"tpm_counter": "8"}, "the record states another number than the TPM"),
    "true": (lambda s: quote(s, 1), {"tpm_counter": True}, "the record states another number than the TPM"),
    "writable": (lambda s: quote(s, 8, index=WRITABLE), {}, "its index is not a counter"),
    "no index": (lambda s: quote(s, 8, index=b"\1\2"), {}, "its index is not a counter"),
    "index": (
        lambda s: quote(s, 8, index=WRITABLE, data=attested(8, bound(s), INDEX)),
        {},
        "it is about another index",
    ),
    "altered": (lambda s: altered(quote(s, 8), 80), {}, "its signature is not good"),
    "P-384": (
        lambda s: quote(s, 8, key=ec.derive_private_key(1, ec.SECP384R1())),
        {},
        "its key is not one of P-256",
    ),
}


def test_a_quote_for_another_place_proves_nothing_and_its_number_counts(judge: Judge, stream: Stream) -> None:
    start(stream, quote(stream, 7))
    elsewhere = qualifying(stream.origin, stream.hashes[3])
    start(stream, quote(stream, 8, data=attested(8, elsewhere)))
    start(stream, quote(stream, 9))
    start(stream, quote(stream, 8, data=attested(8, elsewhere)))
    words, remarks = judged(judge, stream)
    assert words == [NOT_EXCLUDED, NOT_EXCLUDED, NO_OTHER, NOT_EXCLUDED]
    assert remarks == [
        (25, "its TPM quote is about another place"),
        (27, "its TPM quote is about another place"),
        (27, "the TPM's counter stands at 8, and stood at 9 at record 26"),
    ]


@pytest.mark.parametrize("name", list(WRONG))
def test_a_quote_that_is_wrong_does_not_count(judge: Judge, stream: Stream, name: str) -> None:
    make, other, why = WRONG[name]
    start(stream, quote(stream, 7))
    start(stream, make(stream), **other)
    words, remarks = judged(judge, stream)
    assert words == [NOT_EXCLUDED, NOT_EXCLUDED]
    assert remarks == [(25, f"its TPM quote does not count: {why}")]


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("tpm_quote", "", "a part of it is not canonical base64"),
        ("tpm_quote", "AB==", "a part of it is not canonical base64"),
        ("tpm_quote", 7, "a part of it is not canonical base64"),
        ("tpm_index", None, "a part of it is not canonical base64"),
        ("tpm_key", "AAAA AAAA", "a part of it is not canonical base64"),
        ("tpm_quote", "AAAA", "it ends too early"),
        ("tpm_quote", "AAAAAAAA", "no TPM has made it"),
        ("tpm_quote", "/1RDR4AY", "it is not about an index"),
        ("tpm_quote", "/1RDR4AU//8=", "it ends too early"),
        ("tpm_signature", "AAAA", "its signature is not good"),
    ],
)
def test_a_quote_of_another_form_does_not_count(
    judge: Judge, stream: Stream, field: str, value: Any, why: str
) -> None:
    start(stream, quote(stream, 8), **{field: value})
    assert judged(judge, stream) == ([NOT_EXCLUDED], [(24, f"its TPM quote does not count: {why}")])


@pytest.mark.parametrize(
    ("cut", "more", "why"),
    [
        (0, b"\0", "something follows it"),
        (1, b"", "it ends too early"),
        (10, b"\0\x04\0\0\0\7", "its counter has not 64 bits"),
        (12, b"\0\1\0\x08\0\0\0\0\0\0\0\7", "it is not about the beginning of an index"),
    ],
)
def test_a_statement_of_another_form_does_not_count(
    judge: Judge, stream: Stream, cut: int, more: bytes, why: str
) -> None:
    whole = attested(7, bound(stream))
    data = whole[: len(whole) - cut] + more
    start(stream, quote(stream, 7), tpm_quote=b64encode(data).decode())
    assert judged(judge, stream) == ([NOT_EXCLUDED], [(24, f"its TPM quote does not count: {why}")])


def test_in_the_package_of_a_unit_other_starts_may_be_left_out(
    judge: Judge, stream: Stream, tmp_path: Any
) -> None:
    for number in (7, 8, 9):
        start(stream, quote(stream, number))
        stream.add()
    verdict = judge(path=selection(stream, tmp_path / "unit.zip", [23, 24, 25, 28, 29]))
    words, remarks = said(verdict)
    assert words == [NOT_EXCLUDED, "the TPM counted 1 other start"]
    assert remarks == []


def test_who_cannot_verify_ecdsa_says_so_and_believes_no_quote(stream: Stream) -> None:
    start(stream, quote(stream, 7))
    start(stream, quote(stream, 8))
    verdict = verify(stream.records)
    assert [each.why.rpartition("; ")[2] for each in verdict.without_capture] == [NOT_EXCLUDED] * 2
    [remark] = verdict.remarks
    assert remark.text == "TPM quotes were not checked: what verifies their signatures is not at hand"
