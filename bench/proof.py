"""Measure how long the proofs of one unit take in a large journal: find, prove, check.

python bench/proof.py [--records 1000000]
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from append import IDENTITY
from verify import fill

from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.merkle import root_at
from linewitness.evidence.format.proof import TlogProof
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader

UNITS = 200


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--records", type=int, default=1_000_000)
    arguments.add_argument("--folder", type=Path, default=None, help="where to write; default: a new folder")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        directory = Path(folder) / "journal"
        fill(directory, chosen.records)
        with JournalReader(directory) as reader:
            size = reader.size()
            checkpoint = Checkpoint(IDENTITY.stream, size, root_at(size, reader.tree().subtree))
            note = str(checkpoint.sign(Keyring(directory).load(LOG_KEY)))
        one, unit = [], []
        for number in range(UNITS):
            serial = f"SN{number * (size // 8) // UNITS:07d}"
            began = time.perf_counter()
            with JournalReader(directory) as reader:
                found = list(reader.of_unit(serial))
                proofs = []
                for at, _ in found:
                    proofs.append(TlogProof.make(at, note, reader.tree().subtree))
                    if len(proofs) == 1:
                        one.append(time.perf_counter() - began)
            unit.append(time.perf_counter() - began)
            for proof, (_, data) in zip(proofs, found, strict=True):
                proof.check(data, checkpoint)
    for what, times in (("a record", one), ("a unit of 8 records", unit)):
        print(
            f"{size:,} records: the proof of {what}, journal opened anew:"
            f" median {statistics.median(times) * 1e3:.1f} ms, worst of {UNITS} {max(times) * 1e3:.1f} ms"
        )


if __name__ == "__main__":
    main()
