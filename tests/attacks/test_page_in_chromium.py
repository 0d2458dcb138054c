import hashlib
import json
import re
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from time import sleep

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.format.note import ED25519, Vkey
from linewitness.evidence.policy.revocation import Revocation
from support.browser_verifier import PAGE
from support.chain_builder import Stream, grown
from support.chromium import Page, page
from support.line_history import line, started, stopped, tightened
from support.packages import policy_for, receipt, selection, several, whole
from support.zips import zipped

SOURCE = PAGE.read_text()
VECTORS = Path(__file__).parents[2] / "vectors"


def verdict_of(
    browser: Page, package: Path, policy: Path, asked: dict[str, str] | None = None, *others: Path
) -> dict[str, str]:
    browser.open(PAGE)
    for field, value in (asked or {}).items():
        browser.run(f"document.querySelector('{field}').value = '{value}'")
    browser.give_file("#package", package)
    browser.give_file("#policy", policy, *others)
    browser.wait_for("!document.querySelector('#start').disabled")
    browser.run("document.querySelector('#start').click()")
    while not browser.run("!!document.querySelector('.verdict')"):
        sleep(0.05)  # pytest's own time limit ends this
    return {
        "class": browser.run("document.querySelector('.verdict').className"),
        "text": browser.run("document.querySelector('.sentence').textContent"),
        "all": browser.run("document.querySelector('#result').textContent"),
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with page() as opened:
        yield opened


@pytest.fixture(scope="module")
def stream() -> Stream:
    return grown(40, rotate_every=9)


@pytest.fixture
def policy(stream: Stream, tmp_path: Path) -> Path:
    path = tmp_path / "policy.json"
    path.write_bytes(policy_for(stream).canonical)
    return path


def test_a_good_package(browser: Page, stream: Stream, policy: Path, tmp_path: Path) -> None:
    seen = verdict_of(browser, whole(stream, tmp_path / "good.zip"), policy)
    assert seen["class"] == "verdict COMPLETE"
    assert seen["text"] == "COMPLETE to 40, attested by auditor (store store.example)"
    browser.photograph(tmp_path / "complete.png")
    assert (tmp_path / "complete.png").stat().st_size > 10_000


def test_the_age_is_shown_and_a_number_and_a_time_can_be_asked_for(
    browser: Page, stream: Stream, policy: Path, tmp_path: Path
) -> None:
    cut = whole(
        stream,
        tmp_path / "cut.zip",
        records=stream.records[:30],
        statements=(("receipts/1.receipt", receipt(stream, 30)),),
    )
    seen = verdict_of(browser, cut, policy)
    assert seen["class"] == "verdict COMPLETE"
    assert (
        "Age: the newest attestation is of 2026-03-01T01:53:20Z, 112 min after the last record" in seen["all"]
    )
    assert "before the check" in seen["all"]
    for field, value, unmet in (
        ("#at-least", "40", "30 records are attested, and at least 40 were asked for"),
        ("#as-of", "2026-03-01T14:00:00Z", "one of 2026-03-01T14:00:00Z or later was asked for"),
        ("#as-of", "2026-03-01T01:53:20Z", None),
        ("#at-least", "forty", "this page cannot judge it: forty is not a number of records"),
    ):
        seen = verdict_of(browser, cut, policy, {field: value})
        assert (unmet or "COMPLETE to 30") in seen["text"], value
        assert ("OUTDATED" in seen["class"]) is (unmet is not None and "cannot" not in unmet), value


def test_a_backdated_stream_has_the_remarks_of_the_vectors(browser: Page, tmp_path: Path) -> None:
    folder = PAGE.parents[4] / "vectors/backdated"
    receipts = {f"receipts/{name}": (folder / name).read_bytes() for name in ("3.receipt", "5.receipt")}
    records = (folder / "records.ndjson").read_bytes()
    path = zipped(tmp_path / "a.zip", {"records.ndjson": records, **receipts})
    seen = verdict_of(browser, path, folder / "policy.json")
    assert seen["class"] == "verdict COMPLETE"
    assert "records 0 to 4 claim to have been written up to 365 days earlier than possible" in seen["all"]


def test_several_streams_are_shown_below_the_verdict_on_the_whole(
    browser: Page, stream: Stream, policy: Path, tmp_path: Path
) -> None:
    other = grown(12, origin="acme.example/ber-01/line-03/1", seed=40)
    (tmp_path / "other.json").write_bytes(policy_for(other).canonical)
    parts = [selection(stream, tmp_path / "1.zip", [3, 12]), whole(other, tmp_path / "2.zip")]
    package = several(tmp_path / "unit.zip", parts)
    seen = verdict_of(browser, package, policy, None, tmp_path / "other.json")
    assert seen["class"] == "verdict INCLUDED"
    assert seen["text"] == "INCLUDED, the weakest of 2 streams: 1 INCLUDED, 1 COMPLETE"
    assert browser.run("document.querySelectorAll('#result > .verdict').length") == 3
    for said in (stream.origin, other.origin, "COMPLETE to 12, attested by auditor"):
        assert said in seen["all"]
    seen = verdict_of(browser, package, policy)
    assert seen["class"] == "verdict REFUSED"
    assert f"no policy is for the stream {other.origin}" in seen["all"]


def test_a_selection(browser: Page, stream: Stream, policy: Path, tmp_path: Path) -> None:
    seen = verdict_of(browser, selection(stream, tmp_path / "some.zip", [3, 12, 20]), policy)
    assert seen["class"] == "verdict INCLUDED"


def test_the_page_says_when_there_was_no_capture_and_lists_the_records(browser: Page, tmp_path: Path) -> None:
    stopped_line = line()
    stopped(stopped_line)
    stopped_line.tick(202_000)
    started(stopped_line)
    tightened(stopped_line, "SN1")
    trusted = tmp_path / "line.json"
    trusted.write_bytes(policy_for(stopped_line).canonical)
    seen = verdict_of(browser, whole(stopped_line, tmp_path / "line.zip"), trusted)["all"]
    assert "the gateway was off: the gateway was asked to stop" in seen
    assert "2026-03-01T00:00:07.000Z2026-03-01T00:03:31.000Zgateway" in seen
    assert "1 tightening.result" in seen
    assert "SN1 (1)" in seen
    assert "torque 12.30 Nm ok; result ok ok" in seen


def test_an_altered_package(browser: Page, stream: Stream, policy: Path, tmp_path: Path) -> None:
    records = list(stream.records)
    records[7] = records[7].replace(b"7.50", b"7.51")
    seen = verdict_of(browser, whole(stream, tmp_path / "bad.zip", records=records), policy)
    assert seen["class"] == "verdict BROKEN"
    assert seen["text"].startswith("BROKEN at record 7: its content hashes to")


def dropped(browser: Page, selector: str, files: dict[str, bytes]) -> None:
    """Drop files on a part of the page, as from a folder."""
    made = ", ".join(
        f"new File([Uint8Array.from(atob('{b64encode(data).decode()}'), (c) => c.charCodeAt(0))], '{name}')"
        for name, data in files.items()
    )
    browser.run(
        f"{{ const files = [{made}], all = new DataTransfer(); files.forEach((file) => all.items.add(file));"
        f" document.querySelector('{selector}').dispatchEvent("
        " new DragEvent('drop', { dataTransfer: all, bubbles: true, cancelable: true })); }"
    )


@pytest.mark.parametrize("selector", ["body", "#revocations-drop", "#policy-drop"])
def test_package_policy_and_revocations_are_dropped_together_and_anywhere(
    browser: Page, stream: Stream, tmp_path: Path, selector: str
) -> None:
    """The page knows them by what is in them: a signed policy and a revocation have the same suffix."""
    customer = SigningKey(b"c" * 32)
    name = "customer.example/quality"
    policy = policy_for(stream, customer_key=Vkey(name, ED25519, bytes(customer.verify_key)))
    first = Vkey.parse(json.loads(stream.records[9])["changes"][0]["before"])
    revocation = Revocation(stream.origin, first, 5, "stolen <b>at night</b>")
    browser.open(PAGE)
    files = {
        "stolen.note": str(revocation.sign(customer, name=name)).encode(),
        "policy.note": str(policy.sign(customer, name=name)).encode(),
        "evidence.zip": whole(stream, tmp_path / "good.zip").read_bytes(),
    }
    dropped(browser, selector, files)
    browser.wait_for("!document.querySelector('#start').disabled")
    browser.wait_for("document.querySelector('#revocations-name').textContent")
    browser.run("document.querySelector('#start').click()")
    browser.wait_for("document.querySelector('.verdict')")
    sentence = browser.run("document.querySelector('.sentence').textContent")
    assert sentence.startswith("BROKEN at record 5: signed by the event key")
    assert "from record 5 on: stolen <b>at night</b>" in browser.run(
        "document.querySelector('#result').textContent"
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_large_stream_is_verified_within_the_memory_of_a_browser(browser: Page, tmp_path: Path) -> None:
    """Ids that came before are found among 60,000 too, and the page answers while it works."""
    long = grown(60_000)
    long.add(event_id=json.loads(long.records[31_234])["event_id"])
    policy = tmp_path / "policy.json"
    policy.write_bytes(policy_for(long).canonical)
    package = whole(long, tmp_path / "long.zip")
    seen = verdict_of(browser, package, policy)
    assert seen["text"] == "BROKEN at record 60000: its event_id is that of record 31234"


def test_markup_in_the_evidence_stays_text(
    browser: Page, stream: Stream, policy: Path, tmp_path: Path
) -> None:
    script = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
    path = whole(stream, tmp_path / "markup.zip")
    with zipfile.ZipFile(path, "a") as package:
        package.writestr(script, b"x")
    seen = verdict_of(browser, path, policy)
    assert seen["class"] == "verdict REFUSED"
    assert "<img" in seen["text"]
    assert browser.run("document.title") != "owned"


def test_the_page_cannot_reach_anything(browser: Page) -> None:
    browser.open(PAGE)
    for attempt in ("fetch('https://example.com/')", "fetch('data:text/plain,x')", "fetch(location.href)"):
        assert browser.run(f"{attempt}.then(() => 'reached', () => 'refused')") == "refused"
    assert (
        browser.run(
            "new Promise((done) => { const i = new Image(); i.onload = () => done('reached');"
            " i.onerror = () => done('refused'); i.src = 'https://example.com/x.png'; })"
        )
        == "refused"
    )
    sent = [
        event["params"]["request"]["url"]
        for event in browser.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert {url.partition(":")[0] for url in sent} <= {"file", "https", "data"}
    blocked = [event for event in browser.events if event["method"] == "Network.loadingFailed"]
    assert all(event["params"].get("blockedReason") == "csp" for event in blocked)


def test_the_policy_of_the_page_names_its_own_scripts_and_no_others() -> None:
    def digest(text: str) -> str:
        return "'sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    scripts = " ".join(digest(text) for text in re.findall(r"<script[^>]*>(.*?)</script>", SOURCE, re.DOTALL))
    style = digest(re.findall(r"<style>(.*?)</style>", SOURCE, re.DOTALL)[0])
    content = (
        f"default-src 'none'; script-src {scripts}; style-src {style}; base-uri 'none'; form-action 'none'"
    )
    assert f'content="{content}"' in SOURCE


def test_the_page_is_one_file() -> None:
    assert not re.search(r"https?://|\bsrc=|@import|url\(|<link|<iframe|innerHTML|\beval\b", SOURCE)


def with_telegrams(folder: Path, name: str) -> Path:
    """Return a package of the vectors with what the devices sent."""
    path, vectors = folder / f"{name}.zip", VECTORS / "raw"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("records.ndjson", (vectors / "records.ndjson").read_bytes())
        package.writestr("raw.ndjson", (vectors / f"{name}.ndjson").read_bytes())
        package.writestr("receipts/5.receipt", (vectors / "5.receipt").read_bytes())
    return path


def test_what_the_devices_sent_is_shown_beside_the_verdict(browser: Page, tmp_path: Path) -> None:
    seen = verdict_of(browser, with_telegrams(tmp_path, "all"), VECTORS / "raw/policy.json")
    assert seen["class"] == "verdict COMPLETE"
    assert "record 1unit.entered\u2402SN-0817\u240d" in seen["all"]
    assert "MID 0061 (last tightening result): 00850061001" in seen["all"]


def test_what_the_devices_did_not_send_breaks_its_record(browser: Page, tmp_path: Path) -> None:
    seen = verdict_of(browser, with_telegrams(tmp_path, "bytes"), VECTORS / "raw/policy.json")
    assert seen["class"] == "verdict BROKEN"
    assert seen["text"].startswith("BROKEN at record 1: the device's own bytes in the package")
    assert "SN-0818" not in seen["all"]
