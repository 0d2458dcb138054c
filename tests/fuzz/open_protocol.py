"""Fuzz the Open Protocol decoder, intake and ledger.

    pip install atheris
    python tests/fuzz/open_protocol.py corpus-folder -max_total_time=600

A crash, a broken promise or an input that takes longer than five seconds is a finding: keep its bytes in
tests/vectors/open_protocol/fuzzed, which the tests run through the same target.
"""

import json
import sys
from pathlib import Path

import atheris
import structlog

with atheris.instrument_imports(include=["linewitness.devices.open_protocol"]):
    from open_protocol_target import CUT, test_one

GOLDEN = Path(__file__).parents[1] / "vectors/open_protocol/golden.json"


def seeds(folder: Path) -> None:
    """Write the golden telegrams as first inputs."""
    folder.mkdir(parents=True, exist_ok=True)
    telegrams = [each["telegram"].encode() for each in json.loads(GOLDEN.read_text())]
    for number, raw in enumerate(telegrams):
        (folder / f"golden-{number}").write_bytes(b"\x00" + raw + b"\x00")
        (folder / f"repaired-{number}").write_bytes(b"\x01" + raw[4:])
    (folder / "all").write_bytes(b"\x09" + CUT.join(raw[4:] for raw in telegrams))


def main() -> None:
    """Fuzz until told to stop."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    folder = next((Path(each) for each in sys.argv[1:] if not each.startswith("-")), None)
    if folder is not None:
        seeds(folder)
    atheris.Setup([*sys.argv, "-timeout=5"], test_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
