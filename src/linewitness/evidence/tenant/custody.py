"""Follow the records of a tenant stream: what they must say, and that custody of a stream only grows."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from linewitness.evidence.format.kinds import TENANT, TENANT_STREAM
from linewitness.evidence.format.record import Change
from linewitness.evidence.tenant.rules import CUSTODY, broken_rule, is_count, is_hash
from linewitness.evidence.verify.verdict import MAX_REMARKS, Remark

_SIZE: Final = ".size"
_ROOT: Final = ".root"
#: The next record belongs to this one: together they say how far all streams were at one moment.
MORE: Final = "more"
#: Streams that are followed at a time, so that memory does not grow with the stream.
MAX_FOLLOWED: Final = 10_000


class Custody(NamedTuple):
    """What a store had of a stream: `size` records with this root, after `before` of them."""

    stream: str
    before: int
    size: int
    root: str


class TenantSign(NamedTuple):
    """A record of a tenant stream: its place, the rule that it breaks, and the custody that it states."""

    sequence_no: int
    broken_rule: str | None
    custody: tuple[Custody, ...] = ()


def custody_in(members: Mapping[str, Any]) -> tuple[Custody, ...] | None:
    """Return what a `custody.taken` states, a stream each; None where it is not in the form for that."""
    changes = [
        change for change in members["changes"] if change["field"] != MORE or change["after"] is not True
    ]
    sizes: dict[str, tuple[int, int]] = {}
    roots: dict[str, str] = {}
    for change in changes:
        name, before, after = change["field"], change["before"], change["after"]
        if name.endswith(_SIZE) and is_count(before) and is_count(after) and before < after:
            sizes[name.removesuffix(_SIZE)] = before, after
        elif name.endswith(_ROOT) and is_hash(after):
            roots[name.removesuffix(_ROOT)] = after
        else:
            return None
    if not sizes or sizes.keys() != roots.keys() or len(changes) != 2 * len(sizes):
        return None
    return tuple(Custody(name, *size, roots[name]) for name, size in sizes.items())


def custody_changes(custody: Iterable[Custody], *, more: bool = False) -> Iterator[Change]:
    """Yield the changes of a `custody.taken`; `more` where the next record belongs to it."""
    for one in custody:
        yield Change(one.stream + _SIZE, one.before, one.size)
        yield Change(one.stream + _ROOT, None, one.root)
    if more:
        yield Change(MORE, None, after=True)


@dataclass(slots=True)
class TenantRecords:
    """Follow the records in their order; `whole` where all of the stream are there, from record 0 on."""

    whole: bool = True
    _remarks: list[Remark] = field(default_factory=list)
    _held: dict[str, int] = field(default_factory=dict)

    def follow(self, signs: Iterable[TenantSign | None]) -> None:
        """Take the next records."""
        for sign in signs:
            if sign is None:
                continue
            if sign.broken_rule is not None:
                self._remark(sign.sequence_no, sign.broken_rule)
            for one in sign.custody:
                self._compare(sign.sequence_no, one)

    def end(self, kinds: Iterable[str]) -> list[Remark]:
        """Return the remarks, when all records were followed; `kinds` are those of all of them."""
        found = sorted(kinds)
        own = [kind for kind in found if kind in TENANT]
        foreign = [kind for kind in found if kind not in TENANT and kind not in TENANT_STREAM]
        if not own or not foreign:
            return self._remarks
        text = f"{own[0]} is a record of a store and {foreign[0]} one of a gateway: no stream has both"
        return [Remark(None, text), *self._remarks]

    def _compare(self, at: int, custody: Custody) -> None:
        name, before = custody.stream, custody.before
        if name not in self._held and len(self._held) == MAX_FOLLOWED:
            return
        held = self._held.get(name, 0)
        if before < held or (self.whole and before > held):
            self._remark(at, f"the custody of {name} goes on from {before} records, and {held} were held")
        self._held[name] = max(held, custody.size)

    def _remark(self, at: int, text: str) -> None:
        if len(self._remarks) < MAX_REMARKS:
            self._remarks.append(Remark(at, text))


def tenant_sign(members: Mapping[str, Any]) -> TenantSign | None:
    """Return what there is to follow of a parsed record; None where it is none of a store's kinds."""
    if members["kind"] not in TENANT:
        return None
    broken, custody = broken_rule(members), None
    if broken is None and members["kind"] == CUSTODY:
        custody = custody_in(members)
        if custody is None:
            broken = f"{CUSTODY} does not say of each stream from how many records it grew to which root"
    return TenantSign(members["sequence_no"], broken, custody or ())
