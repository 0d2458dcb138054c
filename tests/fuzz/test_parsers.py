"""What others wrote is read or refused, never worse: hypothesis on every parser."""

from base64 import b64decode
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from parsers import PARSERS
from seeds import SEEDS


def mutated(seeds: Sequence[bytes]) -> SearchStrategy[bytes]:
    """Good material with places cut out, put in and turned over; and anything at all."""

    def mutate(parts: tuple[bytes, int, int, bytes]) -> bytes:
        seed, place, length, other = parts
        place %= len(seed) + 1
        return seed[:place] + other + seed[place + length :]

    pieces = st.tuples(
        st.sampled_from(seeds), st.integers(0, 10_000), st.integers(0, 20), st.binary(max_size=40)
    )
    return st.one_of(pieces.map(mutate), st.binary(max_size=300))


#: A table of contents that says of a name that it is UTF-8, and it is not.
NOT_UTF8 = (
    "CQAAAABQSwECAAAAAAC+AAAAAAAAAAAAAAAAAP++/gAAAIAA//8AAAAAAAAAADsAAAAAhgAAAC4AAAAAAAAAAP/Z2dlc/9lcXFwA"
    "AQAAAAAAUEsFBjwA//8AAAAATAAAAAAIAAgAAAA="
)
#: What fuzzing found: the parser, and the bytes that it neither read nor refused.
FINDINGS = [
    ("package", b64decode(NOT_UTF8)),
    ("yaml", b"%YAML 1.0\n---\na: b\n"),
]


@pytest.mark.parametrize(("name", "data"), FINDINGS)
def test_what_fuzzing_found_is_read_or_refused(name: str, data: bytes) -> None:
    PARSERS[name](data)


@pytest.mark.parametrize("name", PARSERS)
def test_parser_reads_or_refuses(name: str) -> None:
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(mutated(SEEDS[name]))
    @example(b"")
    def fuzzed(data: bytes) -> None:
        PARSERS[name](data)

    for seed in SEEDS[name]:
        PARSERS[name](seed)
    fuzzed()
