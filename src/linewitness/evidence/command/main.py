"""`linewitness-verify`: the command of an auditor, for packages and exported records."""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from linewitness.base.errors import ExitCode, LinewitnessError
from linewitness.evidence.command.demands import Demands, unix_time
from linewitness.evidence.command.verify import VerifyRequest
from linewitness.evidence.package.open import open_evidence
from linewitness.evidence.timestamps.algorithms import Verifies

NAME = "linewitness-verify"


def run(arguments: Sequence[str], *, verifies: Verifies | None = None) -> ExitCode:
    """Verify what the arguments name, print what was found, and return the exit code.

    Errors end with one line on standard error and the exit code that `linewitness` has for them.
    """
    given = _parser().parse_args(arguments)
    try:
        demands = Demands(
            now_s=time.time_ns() // 1_000_000_000,  # the auditor's own clock: there is no gateway here
            at_least=given.at_least,
            as_of_s=None if given.as_of is None else unix_time(given.as_of),
        )
        request = VerifyRequest(
            demands=demands,
            policies=tuple(given.policy),
            customer=given.customer,
            revocations=tuple(given.revocation),
            times=given.times,
            unit=given.unit,
            as_json=given.json,
            verifies=verifies,
            workers=os.cpu_count() or 1,
        )
        lines, code = request.run(open_evidence(given.source))
    except LinewitnessError as error:
        return _said(sys.stderr, [f"{NAME}: {error}"], error.exit_code)
    except Exception:  # noqa: BLE001 (the process boundary: everything gets its exit code here)
        said = [traceback.format_exc(), f"{NAME}: this is a bug; please report the lines above"]
        return _said(sys.stderr, said, ExitCode.BUG)
    return _said(sys.stdout, lines, code)


def _said(stream: TextIO, lines: Iterable[str], code: ExitCode) -> ExitCode:
    """Write the lines and return the exit code: OUTPUT where they cannot be written."""
    try:
        stream.writelines(f"{line}\n" for line in lines)
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # the interpreter writes the rest there
        return ExitCode.OUTPUT
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="Verify a stream from its exact bytes."
        " Exit code 1: BROKEN; 5: nothing was judged; 6: OUTDATED.",
    )
    parser.add_argument(
        "source", type=Path, help="A package (.zip), or exported records (NDJSON, with .receipts beside)."
    )
    parser.add_argument(
        "--policy",
        type=Path,
        action="append",
        default=[],
        help="The customer's policy; without it nothing is called complete. One for each stream.",
    )
    parser.add_argument("--customer", help="The customer's vkey, which must have signed the policy.")
    parser.add_argument(
        "--revocation",
        type=Path,
        action="append",
        default=[],
        help="A revocation that the customer signed; may be repeated.",
    )
    parser.add_argument(
        "--at-least", type=int, help="The number of records that must be attested; fewer are OUTDATED."
    )
    parser.add_argument(
        "--as-of", help="The time (UTC, RFC 3339) from which or later an attestation must be; or OUTDATED."
    )
    parser.add_argument(
        "--times",
        action="store_true",
        help="Print between which times of other parties each record was written.",
    )
    parser.add_argument("--unit", help="With --times: only the records of one serialized unit.")
    parser.add_argument("--json", action="store_true", help="Print the verdict as JSON.")
    return parser
