"""The YAML reader: what words mean, where they stand, and what is refused before it costs anything."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.config.problems import ConfigurationErrors, SourcePosition
from linewitness.config.reading import MAX_BYTES, MAX_PROBLEMS, MAX_VALUES, read_bytes, read_file
from linewitness.config.tree import Node, follow, plain

FILE = Path("line.yaml")
WORDS = ["a", "b: ", "- ", "  ", "\n", "&x ", "*x", "<<: ", "[", "]", "{", "}", ", ", ": ", "? ", "| ", "> "]
WORDS += [
    "'",
    '"',
    "#",
    "!t ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "\t",
    "0x1f",
    "1e5",
    "\\",
    "\ufeff",
    "é",
    "~",
]
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Cf"]), max_size=20)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def read(text: str) -> Node:
    return read_bytes(text.encode(), FILE)


def said(text: str | bytes) -> str:
    with pytest.raises(ConfigurationErrors) as caught:
        read_bytes(text.encode() if isinstance(text, str) else text, FILE)
    return str(caught.value)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("12:30:00", "12:30:00"),
        ("2026-11-21", "2026-11-21"),
        ("1_000", "1_000"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("0o17", 15),
        ("0x1F", 31),
        ("-7", -7),
        ("007", 7),
        ("12.30", Decimal("12.30")),
        ("1e3", Decimal("1e3")),
        ("'5'", "5"),
        ("ns=2;s=Press.Force", "ns=2;s=Press.Force"),
    ],
)
def test_words_mean_what_yaml_1_2_says(word: str, value: Any) -> None:
    found: Any = plain(read(f"a: {word}\n"))
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


def test_a_decimal_keeps_its_digits() -> None:
    assert str(cast(Any, plain(read("a: 12.30")))["a"]) == "12.30"


def test_keys_and_values_know_their_places() -> None:
    root = read("version: 1\ndevices:\n  - id: press\n    port:   502\n")
    found = follow(root, ("devices", 0, "port"))
    assert (found.path, found.place, found.node.place) == (
        "devices.press.port",
        SourcePosition(4, 5),
        SourcePosition(4, 13),
    )


def test_an_entry_without_id_is_named_by_its_index() -> None:
    assert follow(read("a: [{b: 1}, {b: 2}]"), ("a", 1, "b")).path == "a[1].b"


def test_names_of_union_members_are_passed_over() -> None:
    found = follow(read("a: {b: 1}"), ("a", "tagged", "b", "int"))
    assert (found.path, found.missing) == ("a.b", ("int",))


def test_a_merge_takes_what_is_not_given() -> None:
    root = read("base: &base {port: 502, host: a}\nother:\n  <<: *base\n  host: b\n")
    assert cast(Any, plain(root))["other"] == {"port": 502, "host": "b"}


def test_a_merge_of_several_prefers_the_first() -> None:
    root = read("x: &x {a: 1}\ny: &y {a: 2, b: 3}\nz: {<<: [*x, *y]}\n")
    assert cast(Any, plain(root))["z"] == {"a": 1, "b": 3}


def test_a_quoted_merge_sign_is_an_ordinary_key() -> None:
    assert plain(read('"<<": {a: 1}')) == {"<<": {"a": 1}}


def test_a_byte_order_mark_is_no_content() -> None:
    assert plain(read("\ufeffa: 1")) == {"a": 1}


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigurationErrors, match="larger than 1024 KiB"):
        read_file(file)


@pytest.mark.heavy
def test_a_file_of_the_greatest_size_is_read() -> None:
    data = b"a: 1\n#"
    assert plain(read_bytes(data + b"#" * (MAX_BYTES - len(data)), FILE)) == {"a": 1}


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationErrors, match="cannot be read"):
        read_file(tmp_path / name)


def test_values_are_counted_with_their_aliases() -> None:
    entry = "[" + ", ".join(["1"] * 999) + "]"
    many = ", ".join(["*a"] * (MAX_VALUES // 1000))
    assert "more than 200000 values" in said(f"a: &a {entry}\nb: [{many}]\n")


def test_aliases_below_the_limit_are_followed() -> None:
    assert cast(Any, plain(read("a: &a [1, 2]\nb: [*a, *a]")))["b"] == [[1, 2], [1, 2]]


def test_an_alias_to_what_surrounds_it_is_refused() -> None:
    assert "no anchor &a above" in said("a: &a [*a]")


def test_a_line_end_in_a_key_does_not_forge_a_line_of_the_report() -> None:
    assert len(said('"a\\nx:1:1: forged": 1\n"a\\nx:1:1: forged": 2\n').splitlines()) == 1


def test_control_sequences_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in said('"a\\e[2J": 1\n"a\\e[2J": 2\n')


def test_a_flood_of_problems_ends() -> None:
    assert len(said("a: 1\n" * 1000).splitlines()) == MAX_PROBLEMS


@pytest.mark.heavy
@given(DATA)
def test_json_is_read_as_what_it_says(data: Any) -> None:
    assert plain(read(json.dumps({"data": data}, ensure_ascii=False))) == {"data": data}


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_with_a_place(data: bytes) -> None:
    _read_or_refused(data)


@given(st.lists(st.sampled_from(WORDS), max_size=25))
def test_any_yaml_is_read_or_refused_with_a_place(words: list[str]) -> None:
    _read_or_refused("".join(words).encode())


def _read_or_refused(data: bytes) -> None:
    found = None
    try:
        plain(read_bytes(data, FILE))
    except ConfigurationErrors as errors:
        found = errors.problems
    assert found is None or (
        found and all(each.place >= SourcePosition(1, 1) and each.what for each in found)
    )
