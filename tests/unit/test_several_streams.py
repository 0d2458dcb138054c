"""A package of several streams: each with its own verdict, the whole with the weakest of them."""

import json
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from linewitness.base.errors import ExitCode
from linewitness.evidence.format import keys
from linewitness.evidence.policy.revocation import Revocation
from support.browser_verifier import judge_several_with_page
from support.chain_builder import Stream, grown
from support.packages import (
    TIME_S,
    judge_several_with_python,
    judge_with_python,
    policy_for,
    selection,
    several,
    whole,
)
from support.zips import unzipped, zipped

CUSTOMER = SigningKey(b"c" * 32)
pytestmark = pytest.mark.heavy
FIRST, SECOND = "acme.example/ber-01/line-02/1", "acme.example/ber-01/line-03/1"


@pytest.fixture(scope="module")
def streams() -> tuple[Stream, Stream]:
    return grown(20, rotate_every=7), grown(12, origin=SECOND, seed=40)


@pytest.fixture
def package(streams: tuple[Stream, Stream], tmp_path: Path) -> Path:
    """Return a package of a selection of one stream and of another one as a whole."""
    first, second = streams
    parts = [selection(first, tmp_path / "1.zip", [3, 9, 15]), whole(second, tmp_path / "2.zip")]
    return several(tmp_path / "unit.zip", parts)


def both(path: Path, policies: list[bytes], revocations: tuple[str, ...] = ()) -> tuple[dict[str, Any], int]:
    """Return what both machine verifiers say, and the exit code of one of them."""
    python, code = judge_several_with_python(path, policies, revocations)
    page = judge_several_with_page(path, policies, revocations)
    assert python["status"] == page["status"]
    assert len(python.get("streams", ())) == len(page.get("streams", ()))
    for ours, theirs in zip(
        [python, *python.get("streams", ())], [page, *page.get("streams", ())], strict=True
    ):
        if python["status"] != "REFUSED" or "streams" in python:
            assert ours["text"] == theirs["text"]
        for member in ("status", "broken_at", "remarks", "origin", "attested", "selected", "contents"):
            assert ours.get(member) == theirs.get(member), member
    return python, code


def trusted(streams: tuple[Stream, Stream], **other: Any) -> list[bytes]:
    return [policy_for(each, **other).canonical for each in streams]


def altered(path: Path, name: str, data: bytes) -> Path:
    """Return the package with other bytes in one file."""
    return zipped(path.with_name("altered.zip"), unzipped(path) | {name: data})


def statuses(found: dict[str, Any]) -> list[str]:
    return [each["status"] for each in found["streams"]]


def test_each_stream_has_its_verdict_and_the_whole_the_weakest(
    package: Path, streams: tuple[Stream, Stream]
) -> None:
    found, code = both(package, trusted(streams))
    assert [each["origin"] for each in found["streams"]] == [FIRST, SECOND]
    assert statuses(found) == ["INCLUDED", "COMPLETE"]
    assert found["status"] == "INCLUDED"
    assert found["text"] == "INCLUDED, the weakest of 2 streams: 1 INCLUDED, 1 COMPLETE"
    assert code == ExitCode.OK
    assert both(package, trusted(streams)[::-1])[0] == found, "the order of the policies says nothing"


@pytest.mark.parametrize(("number", "expected"), [(1, ["BROKEN", "COMPLETE"]), (2, ["INCLUDED", "BROKEN"])])
def test_an_altered_record_breaks_its_stream_and_the_whole(
    package: Path, streams: tuple[Stream, Stream], number: int, expected: list[str]
) -> None:
    name = f"streams/{number}/records.ndjson"
    spoiled = altered(package, name, unzipped(package)[name].replace(b'"9.0"', b'"9.9"', 1))
    found, code = both(spoiled, trusted(streams))
    assert (found["status"], statuses(found), code) == ("BROKEN", expected, ExitCode.BROKEN)
    assert found["text"].startswith("BROKEN, the weakest of 2 streams: 1 BROKEN, 1 ")
    assert found["broken_at"] is None
    assert found["streams"][number - 1]["broken_at"] is not None


def test_a_stream_without_a_policy_is_not_judged(package: Path, streams: tuple[Stream, Stream]) -> None:
    found, code = both(package, trusted(streams)[:1])
    assert (found["status"], statuses(found), code) == (
        "REFUSED",
        ["INCLUDED", "REFUSED"],
        ExitCode.UNJUDGED,
    )
    assert found["streams"][1]["text"] == f"no policy is for the stream {SECOND}"


def test_what_a_policy_asks_for_is_asked_of_its_stream(package: Path, streams: tuple[Stream, Stream]) -> None:
    strict = policy_for(streams[1], max_age_s=1).canonical
    found, code = judge_several_with_python(package, [trusted(streams)[0], strict], now_s=TIME_S + 60)
    assert (statuses(found), code) == (["INCLUDED", "OUTDATED"], ExitCode.OUTDATED)
    assert found["text"] == "OUTDATED, the weakest of 2 streams: 1 OUTDATED, 1 INCLUDED"


def test_a_revocation_counts_for_its_stream(package: Path, streams: tuple[Stream, Stream]) -> None:
    policies = trusted(streams, customer_key=keys.log_vkey("customer.example", CUSTOMER))
    key = keys.event_vkey(SECOND, streams[1].event_key)
    note = Revocation(SECOND, key, 5, "a copy was found").sign(CUSTOMER, name="customer.example")
    found, _ = both(package, policies, (str(note),))
    assert statuses(found) == ["INCLUDED", "BROKEN"]
    assert found["streams"][1]["broken_at"] == 5
    other = Revocation("another/1", key, 5, "x").sign(CUSTOMER, name="customer.example")
    assert both(package, policies, (str(other),))[0]["status"] == "REFUSED"


def test_two_policies_for_one_stream_are_refused(package: Path, streams: tuple[Stream, Stream]) -> None:
    policies = trusted(streams)
    found, code = both(package, [*policies, policies[0]])
    assert (found["status"], code) == ("REFUSED", ExitCode.UNJUDGED)
    assert "two policies are for" in found["text"]


def test_of_several_policies_the_one_for_the_stream_is_taken(
    streams: tuple[Stream, Stream], tmp_path: Path
) -> None:
    alone = whole(streams[1], tmp_path / "one.zip")
    found, _ = both(alone, trusted(streams))
    assert (found["status"], found["origin"]) == ("COMPLETE", SECOND)
    third = whole(grown(3, origin="acme.example/ber-01/line-04/1"), tmp_path / "other.zip")
    found, code = both(third, trusted(streams))
    assert (found["status"], code) == ("REFUSED", ExitCode.UNJUDGED)


#: What is altered in the package: files by their names, None for one that is not there.
LAYOUTS: dict[str, dict[str, bytes | None]] = {
    "a gap in the numbers": {"streams/4/origin": b"x/1\n", "streams/4/records.ndjson": b""},
    "no origin": {"streams/2/origin": None},
    "no records": {"streams/1/records.ndjson": None},
    "an origin without an end": {"streams/1/origin": FIRST.encode()},
    "an origin of two lines": {"streams/1/origin": f"{FIRST}\n\n".encode()},
    "an origin that is too long": {"streams/1/origin": b"a" * 1000 + b"\n"},
    "an origin that is no text": {"streams/1/origin": b"\xff\n"},
    "one stream twice": {"streams/2/origin": f"{FIRST}\n".encode()},
    "records beside the folders": {"records.ndjson": b""},
    "a number that begins with 0": {"streams/03/origin": b"x\n"},
    "a folder in a folder": {"streams/1/streams/1/origin": b"x\n"},
    "a page in a folder": {"streams/1/verify.html": b"x"},
    "an end in a folder": {"streams/1/ended.note": b"x"},
    "a file of no package": {"streams/1/notes.txt": b"x"},
    "bytes of a device that cannot be read": {"streams/2/raw.ndjson": b"x\n"},
}


@pytest.mark.parametrize("spoil", LAYOUTS)
def test_every_other_layout_is_refused(package: Path, streams: tuple[Stream, Stream], spoil: str) -> None:
    files = unzipped(package) | LAYOUTS[spoil]
    found, code = both(zipped(package.with_name("spoiled.zip"), files), trusted(streams))
    assert (found["status"], code) == ("REFUSED", ExitCode.UNJUDGED)
    assert "streams" not in found


def test_a_folder_under_another_streams_name_is_broken(package: Path, streams: tuple[Stream, Stream]) -> None:
    files = unzipped(package)
    swapped = files | {f"streams/{at}/origin": files[f"streams/{3 - at}/origin"] for at in (1, 2)}
    found, _ = both(zipped(package.with_name("swapped.zip"), swapped), trusted(streams))
    assert statuses(found) == ["BROKEN", "BROKEN"]


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        ({"v": 1, "streams": [FIRST, SECOND]}, None),
        ({"v": 1}, None),
        ({"v": 1, "streams": [SECOND, FIRST]}, "it names other streams than those that are here"),
        ([], "it is no JSON object of the format, and was not compared with the records"),
    ],
)
def test_what_the_manifest_says_of_the_streams_is_compared(
    package: Path, streams: tuple[Stream, Stream], manifest: Any, says: str | None
) -> None:
    path = altered(package, "manifest.json", json.dumps(manifest).encode())
    found, _ = both(path, trusted(streams))
    assert [one["text"] for one in found["remarks"]] == ([f"manifest.json: {says}"] if says else [])


def test_a_package_of_one_stream_in_a_folder_is_read_too(
    streams: tuple[Stream, Stream], tmp_path: Path
) -> None:
    path = several(tmp_path / "one.zip", [whole(streams[0], tmp_path / "1.zip")])
    found, _ = both(path, trusted(streams)[:1])
    assert found["text"] == "COMPLETE, the weakest of 1 stream: 1 COMPLETE"
    alone = judge_with_python(tmp_path / "1.zip", trusted(streams)[0])
    assert found["streams"][0]["text"] == alone["text"]
