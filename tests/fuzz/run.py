"""Fuzz one parser with atheris.

    pip install atheris
    python tests/fuzz/run.py NAME corpus-folder -max_total_time=300

The names are those of `parsers.PARSERS`. What the parser refuses is fine; any other exception, and an input
that takes longer than ten seconds, is a finding: it becomes an example in test_parsers.py.
"""

import sys
from pathlib import Path

import atheris
from seeds import SEEDS

with atheris.instrument_imports(include=["linewitness", "ruamel", "zipfile", "json"]):
    from parsers import PARSERS


def main() -> None:
    """Fuzz until told to stop, from the good material of the tests on."""
    _, name, *arguments = sys.argv
    folder = next((Path(each) for each in arguments if not each.startswith("-")), None)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(SEEDS[name]):
            (folder / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *arguments, "-timeout=10"], PARSERS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
