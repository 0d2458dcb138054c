"""What the commands share that write evidence packages, from a journal or from a store."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from linewitness.base.errors import ConfigurationError
from linewitness.cli.export import new_file, say_trace

if TYPE_CHECKING:
    from linewitness.evidence.package.query import Holdings, RecordQuery
    from linewitness.evidence.package.raws import Find
    from linewitness.evidence.package.request import PackageRequest


def request_of(
    holdings: "Holdings",
    query: "RecordQuery",
    policies: Sequence[Path],
    *,
    raws: "Find | None" = None,
    held: str | None = None,
) -> "PackageRequest":
    """Return what is packed of one stream; the report has the verdict under the policy of the stream.

    A single policy is for whatever stream it is.
    """
    from linewitness.anchors.signatures import verifies
    from linewitness.base.clock import SystemClock, to_rfc3339
    from linewitness.evidence.command.verify import read_policy
    from linewitness.evidence.package.request import PackageRequest

    trusted = {policy.origin: policy for policy in map(read_policy, policies)}
    only = next(iter(trusted.values())) if len(trusted) == 1 else None
    return PackageRequest(
        holdings=holdings,
        query=query,
        created_at=to_rfc3339(SystemClock().stamp().realtime_ns),
        held=held,
        policy=trusted.get(holdings.origin, only),
        verifies=verifies,
        workers=os.cpu_count() or 1,
        raws=raws,
        traced=say_trace,
    )


@contextmanager
def package_file(output: Path) -> Iterator[BinaryIO]:
    """Open a new file for a package; never overwrite a file, and remove an incomplete one."""
    part = output.with_name(output.name + ".part")
    if output.exists():
        raise ConfigurationError(f"there is a {output} already", hint="name a new file with --output")
    try:
        with new_file(part) as file:
            yield file
        part.rename(output)
    finally:
        part.unlink(missing_ok=True)
