"""Good and nearly good material for every parser: what fuzzing starts from."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

from asyncua.ua.ua_binary import variant_to_binary

from linewitness.base.compression.frames import pack
from linewitness.base.compression.records import pack_record
from linewitness_simulators.press.library import ua

VECTORS = Path(__file__).parents[2] / "vectors"
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
        (VECTORS / "notice/2.notice").read_bytes().partition(b"\n\n")[0] + b"\n",
    ],
    "evidence": [
        (VECTORS / "chain/records.ndjson").read_bytes(),
        (VECTORS / "record/record.json").read_bytes(),
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
    "receipt": [
        (VECTORS / "checkpoint/7.receipt").read_bytes(),
        (VECTORS / "checkpoint/7.witnessed").read_bytes(),
        b"acme.example/ber-01/line-02/1\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        b"conflict because\n\nacme.example/ber-01/line-02/1\n7\n" + b"A" * 43 + b"=\n",
    ],
    "conflict": [
        (
            b"linewitness/conflict/v1\nacme.example/ber-01/line-02/1\nrecord 6\nanother\n-\nAA==\nAQ==\n"
            b"\n\xe2\x80\x94 store.example " + b"A" * 104 + b"\n"
        ),
        b"linewitness/conflict/v1\na\ncheckpoint 07\n\n-\n-\n-\n",
    ],
    "policy": [(VECTORS / "policy.json").read_bytes(), b'{"v":1}', b"[" * 3000],
    "revocation": [
        (
            b"linewitness/revocation/v1\nacme.example/ber-01/line-02/1\n"
            b"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n7\nlost\n"
        ),
        (VECTORS / "checkpoint/4.checkpoint").read_bytes(),
    ],
    "proof": [
        (VECTORS / "proof/2.tlog-proof").read_bytes(),
        (VECTORS / "proof/4-7.consistency").read_bytes(),
        b"c2sp.org/tlog-proof@v1\nextra AAAA\nindex 0\n\na\n1\n"
        + b"A" * 43
        + b"=\n\n\xe2\x80\x94 a AAAAAAA=\n",
    ],
    "quick_reading": (VECTORS / "chain/records.ndjson").read_bytes().splitlines(),
    "witness": [
        b"old 0\n\n" + (VECTORS / "checkpoint/4.checkpoint").read_bytes(),
        b"old 4\n" + b"A" * 43 + b"=\n\n" + (VECTORS / "checkpoint/7.checkpoint").read_bytes(),
        b"old 0\n\nacme.example/ber-01/line-02/1\n3\n" + b"A" * 43 + b"=\n\n",
    ],
    "batch": [
        (VECTORS / "chain/records.ndjson").read_bytes(),
        b"linewitness/v1/acme/gw-02/records",
        b'{"integrity":{"stream":""},"sequence_no":0,"event_id":""}\n',
    ],
    "frame": [
        pack((VECTORS / "chain/records.ndjson").read_bytes()),
        *map(pack_record, (VECTORS / "chain/records.ndjson").read_bytes().splitlines()[:3]),
        pack(b"\n" * 2**20),
    ],
    "time_answer": [
        bytes([0x24, 1, 6, 0xEC]) + bytes(8) + b"GPS\0" + bytes.fromhex("ed5a2f00000000") * 4 + bytes(4),
        b"C0A80001,ntp.example,2,1772352000.012345678,0.000012,0.00002,0.00003,1.5,0.01,0.2,0.003,0.0004,64.2,Normal\n",
    ],
    "stamp": [
        *(path.read_bytes() for path in sorted((VECTORS / "stamp").glob("*.tsr"))),
        *(ssl.PEM_cert_to_DER_cert(path.read_text()) for path in sorted((VECTORS / "stamp").glob("*.pem"))),
    ],
    "opcua_value": [
        variant_to_binary(ua.Variant(value))
        for value in (
            12.5,
            [1.5, float("nan")],
            "text",
            b"bytes",
            [[1, 2], [3, 4]],
            datetime(2026, 3, 1, tzinfo=UTC),
            ua.NodeId("Press", 2),
            ua.LocalizedText("oil", "en"),
            ua.QualifiedName("a", 1),
            ua.DataValue(ua.Variant(True)),
            ua.Range(1.0, 2.0),
            [ua.Variant("nested")],
        )
    ],
}
