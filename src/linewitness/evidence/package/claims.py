"""Compare what a package's manifest says with what its records are: a difference is a remark.

docs/format.md, section 11.3.3. The manifest is signed by nobody, so it breaks nothing; but somebody reads it.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from linewitness.base.errors import EvidenceError
from linewitness.evidence.format import canonical
from linewitness.evidence.package.archive import MANIFEST, MAX_SMALL_BYTES, Package
from linewitness.evidence.verify.verdict import Remark, Verdict

_CONTENTS: Final = ("records", "first", "last", "earliest", "latest", "kinds", "units", "other_units")
#: Units that a remark names.
_NAMED: Final = 10


def false_claims(package: Package, verdict: Verdict) -> tuple[Remark, ...]:
    """Return what the manifest says of verified records that is not so; nothing where there is none."""
    if verdict.contents is None:
        return ()
    here = verdict.contents.to_json()
    return _compared(package, lambda value: _differences(value, verdict, here))


def false_streams(package: Package, origins: list[str]) -> tuple[Remark, ...]:
    """Return what the manifest of several streams says of them that is not so."""

    def differences(value: dict[str, Any]) -> Iterator[str]:
        if not _same(value.get("streams", origins), origins):
            yield "it names other streams than those that are here"

    return _compared(package, differences)


def _compared(package: Package, differences: Callable[[dict[str, Any]], Iterator[str]]) -> tuple[Remark, ...]:
    """Return what differs from the manifest, or that it cannot be compared; nothing where there is none."""
    if (size := package.manifest_bytes()) is None:
        return ()
    if size > MAX_SMALL_BYTES:
        return (_remark(f"it is larger than {MAX_SMALL_BYTES} bytes, and was not compared with the records"),)
    value = _read(package.small(MANIFEST))
    if value is None:
        return (_remark("it is no JSON object of the format, and was not compared with the records"),)
    return tuple(_remark(text) for text in differences(value))


def _differences(value: dict[str, Any], verdict: Verdict, here: dict[str, Any]) -> Iterator[str]:
    if value.get("origin", verdict.origin) != verdict.origin:
        yield f"it names another stream than {verdict.origin}"
    if not _same(value.get("records", here["records"]), here["records"]):
        yield f"it states another number of records than the {here['records']} that are here"
    if "contents" in value:
        stated = value["contents"] if isinstance(value["contents"], dict) else {}
        if others := [name for name in _CONTENTS if not _same(stated.get(name), here[name])]:
            yield f"its contents are not those of the records: {', '.join(others)}"
    if isinstance(asked := value.get("asked"), dict):
        yield from _unasked(asked, here)


def _unasked(asked: dict[str, Any], here: dict[str, Any]) -> Iterator[str]:
    units = [unit for unit in _list(asked.get("units")) if isinstance(unit, str)]
    held = [one["unit"] for one in here["units"]]
    if units and not _list(asked.get("batches")) and not _list(asked.get("components")):
        if more := [unit for unit in held if unit not in units]:
            yield f"records of units are here that it does not name: {_names(more)}"
        if none := [unit for unit in units if unit not in held]:
            yield f"it names units of which no record is here: {_names(none)}"
    since, until = asked.get("since"), asked.get("until")
    early = isinstance(since, str) and here["earliest"] < since
    if early or (isinstance(until, str) and here["latest"] >= until):
        yield "records are here that lie outside of the times that it names"


def _read(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text, object_pairs_hook=_unique)
        canonical.check_profile(value)
        canonical.encode(value)
    except (ValueError, RecursionError, EvidenceError):
        return None
    return value if isinstance(value, dict) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _same(one: Any, other: Any) -> bool:
    return canonical.encode(one) == canonical.encode(other)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _names(units: list[str]) -> str:
    return ", ".join(units[:_NAMED]) + (", …" if len(units) > _NAMED else "")


def _remark(text: str) -> Remark:
    return Remark(None, f"{MANIFEST}: {text}")
