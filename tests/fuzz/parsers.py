"""Every parser that reads what others wrote, as one function of bytes: it may refuse, never fail otherwise.

`python tests/fuzz/parsers.py NAME` fuzzes one of them with atheris, where that is installed.
"""

import contextlib
import io
import sys
import tempfile
import zipfile
from pathlib import Path

from linewitness.clock import Stamp
from linewitness.config.problems import ConfigurationErrors
from linewitness.config.reading import read_bytes
from linewitness.devices.mt_sics import replies
from linewitness.devices.open_protocol.codec import decode
from linewitness.devices.open_protocol.framing import Framer, FramingError
from linewitness.devices.open_protocol.telegram import MalformedTelegram, parse
from linewitness.devices.scanner.framing import LineSplitter
from linewitness.errors import EvidenceError
from linewitness.evidence import canonical, record
from linewitness.evidence.checkpoint import Checkpoint
from linewitness.evidence.note import Note, Vkey
from linewitness.evidence.package import Package
from linewitness.evidence.verify import verify

STAMP = Stamp(0, 0)
LIMIT = 512


def open_protocol(data: bytes) -> None:
    with contextlib.suppress(FramingError, MalformedTelegram):
        for raw in Framer().feed(data):
            decode(parse(raw))


def scanner(data: bytes) -> None:
    splitter = LineSplitter(terminator=None, limit=LIMIT)
    for start in range(0, len(data), 7):
        for line in splitter.feed(data[start : start + 7], STAMP):
            assert len(line.data) <= LIMIT
    splitter.end(STAMP)


def sics(data: bytes) -> None:
    for line in data.split(b"\n"):
        reply = replies.parse(line.decode("ascii", "backslashreplace"))
        if reply is not None:
            replies.weight(reply)
            replies.quoted(reply)


def note(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for reader in (Note.parse, Checkpoint.parse, Vkey.parse):
        with contextlib.suppress(EvidenceError):
            reader(text)


def evidence(data: bytes) -> None:
    with contextlib.suppress(EvidenceError, canonical.NotCanonical):
        canonical.decode(data)
    with contextlib.suppress(EvidenceError):
        record.parse(data)
    assert verify(iter(data.split(b"\n"))).status in ("BROKEN", "INTACT")


def yaml(data: bytes) -> None:
    with contextlib.suppress(ConfigurationErrors):
        read_bytes(data, Path("line.yaml"))


def package(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(EvidenceError), Package.open(Path(file.name)) as opened:
            opened.statements()
            opened.manifest()
            for line in (*opened.records(), *opened.key_records()):
                assert len(line) <= canonical.MAX_BYTES + 2


def zipped(data: bytes) -> None:
    """Put the bytes under the names that a package has."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in ("manifest.json", "records.ndjson", "keys.ndjson", "receipts/1", "proofs/0.tlog-proof"):
            archive.writestr(name, data)
    package(held.getvalue())


PARSERS = {
    each.__name__: each for each in (open_protocol, scanner, sics, note, evidence, yaml, package, zipped)
}


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *sys.argv[2:]], PARSERS[sys.argv[1]])
    atheris.Fuzz()
