"""The entry point of `linewitness-verify`: the verifier, and what checks time stamps if installed."""

import sys
from typing import TYPE_CHECKING

from linewitness.evidence.command.main import run

if TYPE_CHECKING:
    from linewitness.evidence.timestamps.algorithms import Verifies


def main() -> None:
    """Run the command line."""
    sys.exit(run(sys.argv[1:], verifies=_verifies()))


def _verifies() -> "Verifies | None":
    """Return what verifies the signatures of time-stamping authorities, or None without the extra."""
    try:
        from linewitness.anchors.signatures import verifies  # noqa: PLC0415 (the extra `timestamps`)
    except ImportError:
        return None
    return verifies


if __name__ == "__main__":
    main()
