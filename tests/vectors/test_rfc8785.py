"""The reference samples of RFC 8785: the published bytes where our profile allows the input, else a reason.

Inputs and outputs are those of the reference implementation (Apache License 2.0), as the source package
of rfc8785 0.1.4 on PyPI carries them.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.evidence.format import canonical
from linewitness.evidence.format.canonical import NotCanonical
from support.page_signatures import ask_page


class Sample(NamedTuple):
    given: str
    published: str
    #: Why the profile has no place for it; None where it has.
    refused: str | None


SAMPLES = {
    "arrays": Sample(
        '[\n  56,\n  {\n    "d": true,\n    "10": null,\n    "1": [ ]\n  }\n]\n',
        '[56,{"1":[],"10":null,"d":true}]',
        None,
    ),
    "french": Sample(
        '{\n  "peach": "This sorting order",\n  "p\u00e9ch\u00e9": "is wrong according to French",\n'
        '  "p\u00eache": "but canonicalization MUST",\n  "sin":   "ignore locale"\n}\n',
        '{"peach":"This sorting order","p\u00e9ch\u00e9":"is wrong according to French",'
        '"p\u00eache":"but canonicalization MUST","sin":"ignore locale"}',
        "the key 'p\u00e9ch\u00e9' is not of the form",
    ),
    "structures": Sample(
        '{\n  "1": {"f": {"f": "hi","F": 5} ,"\\n": 56.0},\n  "10": { },\n  "": "empty",\n  "a": { },\n'
        '  "111": [ {"e": "yes","E": "no" } ],\n  "A": { }\n}',
        '{"":"empty","1":{"\\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{"E":"no","e":"yes"}],"A":{},"a":{}}',
        "the key '' is not of the form",
    ),
    "unicode": Sample(
        '{\n  "Unnormalized Unicode":"A\\u030a"\n}\n',
        '{"Unnormalized Unicode":"A\u030a"}',
        "the key 'Unnormalized Unicode' is not of the form",
    ),
    "values": Sample(
        '{\n  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],\n'
        '  "string": "\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/",\n'
        '  "literals": [null, true, false]\n}',
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
        "the number 333333333.3333333 is not an integer",
    ),
    "weird": Sample(
        '{\n  "\\u20ac": "Euro Sign",\n  "\\r": "Carriage Return",\n  "\\u000a": "Newline",\n  "1": "One",\n'
        '  "\\u0080": "Control\\u007f",\n  "\\ud83d\\ude02": "Smiley",\n'
        '  "\\u00f6": "Latin Small Letter O With Diaeresis",\n'
        '  "\\ufb33": "Hebrew Letter Dalet With Dagesh",\n  "</script>": "Browser Challenge"\n}\n',
        '{"\\n":"Newline","\\r":"Carriage Return","1":"One","</script>":"Browser Challenge",'
        '"\x80":"Control\x7f","\u00f6":"Latin Small Letter O With Diaeresis","\u20ac":"Euro Sign",'
        '"\U0001f602":"Smiley","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
        r"the key '\n' is not of the form",
    ),
}
#: The input bytes of each sample are more than its form, so it is refused as they stand.
NAMES = list(SAMPLES)


def whole_numbers(text: str) -> int:
    return int(float(text))


@pytest.mark.parametrize("name", NAMES)
def test_the_published_form_is_accepted_or_refused_with_the_reason(name: str) -> None:
    sample = SAMPLES[name]
    form = sample.published.encode()
    if sample.refused is None:
        assert canonical.decode(form) == json.loads(sample.given)
        return
    with pytest.raises(NotCanonical) as caught:
        canonical.decode(form)
    assert sample.refused in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_the_input_as_it_stands_is_no_canonical_form(name: str) -> None:
    with pytest.raises(NotCanonical):
        canonical.decode(SAMPLES[name].given.encode())


@pytest.mark.parametrize("name", ["arrays", "french", "structures", "unicode"])
def test_the_writer_gives_the_published_bytes(name: str) -> None:
    """Keys beyond the profile are written as published too; a whole float is an integer first."""
    value = json.loads(SAMPLES[name].given, parse_float=whole_numbers)
    assert canonical.encode(value) == SAMPLES[name].published.encode()


def test_the_writer_gives_the_published_bytes_of_strings_and_literals() -> None:
    value = json.loads(SAMPLES["values"].given)
    del value["numbers"]
    published = SAMPLES["values"].published
    start, end = published.index('"numbers"'), published.index('"string"')
    assert canonical.encode(value) == (published[:start] + published[end:]).encode()


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for member in value:
            yield from strings(member)
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from strings(member)


@pytest.mark.parametrize("name", NAMES)
def test_each_string_is_escaped_as_published(name: str) -> None:
    sample = SAMPLES[name]
    for text in strings(json.loads(sample.given)):
        assert canonical.encode(text).decode() in sample.published


def test_only_beyond_the_profile_is_there_another_order() -> None:
    """RFC 8785 sorts by UTF-16 units, Python by code points: they part where a key leaves the plane."""
    given, published = (json.loads(text) for text in SAMPLES["weird"][:2])
    names = [*json.loads(canonical.encode(given))]
    assert names != [*published]
    smiley, dalet = "\U0001f602", "\ufb33"
    assert [name for name in names if name not in (smiley, dalet)] == [*published][:-2]
    assert [*published] == sorted(given, key=lambda name: name.encode("utf-16-be"))


@given(st.lists(st.from_regex(r"[a-z0-9_]+", fullmatch=True), unique=True))
def test_names_of_the_profile_have_one_order(names: list[str]) -> None:
    value = dict.fromkeys(names)
    by_units = sorted(names, key=lambda name: name.encode("utf-16-be"))
    assert [*json.loads(canonical.encode(value))] == by_units


def test_the_page_says_the_same_of_each() -> None:
    question = "(form) => { decode(utf8(form)); return canonical(JSON.parse(form)); }"
    for name, said in zip(
        NAMES, ask_page(question, [SAMPLES[name].published for name in NAMES]), strict=True
    ):
        if SAMPLES[name].refused is None:
            assert said == SAMPLES[name].published
        else:
            assert set(said) == {"refused"}, name


def test_the_page_writes_the_published_bytes() -> None:
    said = ask_page("(text) => canonical(JSON.parse(text))", [sample.given for sample in SAMPLES.values()])
    assert said == [sample.published for sample in SAMPLES.values()]
