"""Sign-offs: who signs, what the signature means, and four eyes."""

from typing import Any

from linewitness.stations.lists.book import ListBook
from support.station_bench import LineBench, afters, kinds, options_of

SIGN = {"id": "visual", "kind": "sign_off", "meaning": "visual inspection passed", "code": "SIGN-VISUAL"}
GATE = {"device": "press-10", "point": "hold", "hold": ["missing"]}


def line(*requires: dict[str, Any], **settings: Any) -> LineBench:
    return LineBench(options_of(requires=requires, gate=GATE, **settings), lists=ListBook())


def test_a_badge_after_the_code_of_the_sign_off_signs() -> None:
    bench = line(SIGN)
    bench.badge("B1")
    bench.scan("SN0001", "SIGN-VISUAL")
    signed, changed, opened = bench.badge("B1")
    assert kinds([signed, changed, opened]) == ["requirement.signed", "requirement.changed", "gate.opened"]
    assert (signed.actor.id, signed.reason) == ("B1", "visual inspection passed")
    assert afters(changed)["met_by"] == signed.event_id
    assert bench.badge("B1")[0].kind == "operator.signed_off"


def test_without_the_code_a_badge_signs_nothing() -> None:
    bench = line(SIGN)
    bench.scan("SN0001")
    bench.badge("B1")
    assert bench.state("visual") == "missing"


def test_the_code_counts_for_a_minute_and_for_its_unit() -> None:
    bench = line(SIGN)
    bench.scan("SN0001", "SIGN-VISUAL")
    bench.badge("B1", at_s=61)
    assert bench.state("visual") == "missing"
    bench.scan("SIGN-VISUAL", "SN0002", at_s=70)
    bench.badge("B2", at_s=71)
    assert bench.state("visual") == "missing"


def test_a_second_person_signs_where_four_eyes_are_wanted() -> None:
    bench = line({**SIGN, "second_person": True})
    bench.badge("B1")
    bench.scan("SN0001", "SIGN-VISUAL")
    [refused] = bench.badge("B1")
    assert refused.reason == "B1 does the work: another person signs"
    bench.badge("B2")
    assert bench.gate() == "opened"


def test_nobody_is_a_second_person_while_nobody_is_signed_on() -> None:
    bench = line({**SIGN, "second_person": True})
    bench.scan("SN0001", "SIGN-VISUAL")
    assert bench.badge("B2")[0].kind == "requirement.refused"


def test_two_persons_are_two() -> None:
    bench = line({**SIGN, "people": 2})
    bench.scan("SN0001", "SIGN-VISUAL")
    assert kinds(bench.badge("B1")) == ["requirement.signed"]
    assert kinds(bench.badge("B1")) == ["requirement.refused"]
    assert bench.gate() == "closed"
    bench.badge("B2")
    assert bench.gate() == "opened"
