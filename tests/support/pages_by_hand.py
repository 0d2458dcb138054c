"""Work through the page that verifies a package with shell tools."""

import re
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```bash\n(.*?)^```", (ROOT / "docs/by-hand.md").read_text(), re.MULTILINE | re.DOTALL)


def work_through(
    folder: Path,
    package: Path,
    spoil: str = "",
    vectors: Path = ROOT / "vectors",
    *,
    policy: Path | None = None,
    stream: int | None = None,
) -> subprocess.CompletedProcess[Any]:
    """Run the page, of several streams for the one of a number.

    `spoil` alters what was unpacked, and ends with 0 if it altered nothing.
    """
    if spoil:
        spoil = (
            "cp -r evidence before; cp policy.json before\n"
            f"{spoil}\n"
            "if diff -r before evidence >/dev/null && cmp -s before/policy.json policy.json;"
            " then echo unspoiled; exit 0; fi"
        ).replace("if diff -r before evidence", "if diff -r -x policy.json before evidence")
    return subprocess.run(
        ["bash", "-c", "\n".join([BLOCKS[0], spoil, *BLOCKS[1:]])],
        cwd=folder,
        env={
            "package": str(package),
            "policy": str(policy or package.parent / "policy.json"),
            **({"stream": str(stream)} if stream else {}),
            "vectors": str(vectors),
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
        },
        capture_output=True,
        text=True,
        check=False,
    )
