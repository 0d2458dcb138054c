"""What others wrote is read or refused, never worse: hypothesis on every parser."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from parsers import PARSERS

SEEDS = {
    "open_protocol": [
        b"00200001001         \0",
        b"00570002001         010001020103Airbag1                  \0",
        b"0231006100100000000000100010200030100000000000000\0",
        b"0000",
        b"9999" + b"9" * 9995,
    ],
    "scanner": [b"SN0001\r\nSN0002\r\n", b"\x02SN1\x03\r"],
    "sics": [b"S S     100.00 g\r\n", b'I4 A "0123456789"\r\n', b"S D     -0.01 kg\r\n", b"ES\r\n"],
    "note": [
        b"acme.example/ber-01/line-02/1\n7\n" + b"A" * 43 + b"=\n\n\xe2\x80\x94 acme.example/k AAAAAAAA\n",
        b"store.acme.example/audit+b4dcf61e+BCMFTsFbsxey08iKGh/jeH91ZmwnP+9Z3DJHvz4wHZnA",
    ],
    "evidence": [
        b'{"action":"create","actor":{"id":"a","type":"device"},"sequence_no":0,"integrity":{"record_hash":"x"}}',
        b'{"a":1e400}',
        b"[" * 5000,
        b'{"a":"\\ud800"}',
    ],
    "yaml": [
        b"version: 1\nline: {tenant: acme}\n",
        b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n",
        b"!!python/object/apply:os.system ['true']\n",
        b"%YAML 1.1\n---\n? {a: b}\n: [c",
    ],
    "package": [b"PK\x05\x06" + b"\0" * 18, b"PK\x03\x04" + b"\0" * 40],
    "zipped": [b'{"a":', b"{}\n{}\n"],
}


def mutated(seeds):
    """Good material with places cut out, put in and turned over; and anything at all."""

    def mutate(parts):
        seed, place, length, other = parts
        place %= len(seed) + 1
        return seed[:place] + other + seed[place + length :]

    pieces = st.tuples(
        st.sampled_from(seeds), st.integers(0, 10_000), st.integers(0, 20), st.binary(max_size=40)
    )
    return st.one_of(pieces.map(mutate), st.binary(max_size=300))


@pytest.mark.parametrize("name", PARSERS)
def test_parser_reads_or_refuses(name):
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(mutated(SEEDS[name]))
    @example(b"")
    def fuzzed(data):
        PARSERS[name](data)

    for seed in SEEDS[name]:
        PARSERS[name](seed)
    fuzzed()
