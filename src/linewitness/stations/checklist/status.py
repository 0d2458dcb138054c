"""What a unit needs at a station and how far each requirement is: it changes nothing."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from linewitness.evidence.format.record import Change
from linewitness.stations.checklist.options import VariantOptions
from linewitness.stations.checklist.progress import Progress
from linewitness.stations.checklist.requirements import Requirement
from linewitness.stations.genealogy.known_units import Variant
from linewitness.stations.options import StationOptions
from linewitness.stations.unit.units import HeldUnit

#: What a unit lacks besides its requirements, as an override names it; no id of a requirement has a space.
_UNKNOWN_VARIANT: Final = "known variant"
_NOT_SCRAP: Final = "not scrap"


class RequirementStatus(NamedTuple):
    """One requirement of the unit at the station, and how far it is."""

    need: Requirement
    progress: Progress

    @property
    def is_done(self) -> bool:
        """Whether it is done."""
        return self.progress.state == "done"

    @property
    def lacking(self) -> int:
        """How many times it is still to be done."""
        return 0 if self.is_done else max(1, self.need.wanted - self.progress.done)


class ListedStatuses(NamedTuple):
    """The requirements of a unit, and of what they were put together."""

    options: StationOptions
    variant: Variant
    progress: Mapping[str, Progress]
    statuses: tuple[RequirementStatus, ...]

    def holds(self, options: StationOptions, variant: Variant, progress: Mapping[str, Progress]) -> bool:
        """Return whether they would be the same, put together of these."""
        return self.options is options and self.variant is variant and self.progress is progress


def progress_of(held: HeldUnit, need: Requirement) -> Progress:
    """Return how far a requirement is; it begins anew where its settings are others than those it had."""
    known = held.progress.get(need.name)
    if (
        known is not None
        and not known.definition
        and not need.has_records
        and not getattr(need, "limits", None)
    ):
        known.definition = need.definition  # an earlier version counted these results
    if known is None or known.definition != need.definition:
        known = held.progress[need.name] = Progress(need.definition)
    return known


def statuses_of(held: HeldUnit, options: StationOptions | None) -> tuple[RequirementStatus, ...]:
    """Return the requirements that this unit has, in the order of the settings."""
    if options is None:
        return ()
    # Each observation asks for them several times: they are put together once.
    listed = held.listed
    if listed is not None and listed.holds(options, held.variant, held.progress):
        return listed.statuses
    statuses = tuple(
        RequirementStatus(need, progress_of(held, need))
        for need in options.requires
        if applies(need.when, held.variant)
    )
    held.listed = ListedStatuses(options, held.variant, held.progress, statuses)
    return statuses


def following(name: str, options: StationOptions | None) -> list[Requirement]:
    """Return a requirement and all that is done after it, where the settings have it."""
    known = {need.name: need for need in options.requires} if options is not None else {}
    names = [name] if name in known else []
    for before in names:
        follows = [need.name for need in known.values() if comes_after(before, need)]
        names += [each for each in follows if each not in names]
    return [known[each] for each in names]


def comes_after(name: str, need: Requirement) -> bool:
    """Return whether a requirement is done after the one of this name."""
    return name in need.after or name == getattr(need, "since", None)


def applies(when: VariantOptions, variant: Variant) -> bool:
    """Return whether a requirement is one of units of this variant."""
    if when.is_any:
        return True
    wanted = (when.product, when.work_order, when.batch)
    return all(not names or value in names for names, value in zip(wanted, variant, strict=True))


def lacks_variant(held: HeldUnit, options: StationOptions | None) -> str:
    """Return what of the variant is not known although requirements depend on it; empty where nothing is."""
    if options is None:
        return ""
    for position, name in options.variants_asked:
        if not held.variant[position]:
            return name.replace("_", " ")
    return ""


def unmet(held: HeldUnit, options: StationOptions | None) -> list[str]:
    """Return what the unit still lacks, in words; nothing if it is complete."""
    lacking = [status.need.shown for status in statuses_of(held, options) if not status.is_done]
    if missing := lacks_variant(held, options):
        lacking.insert(0, f"its {missing} is not known")
    if held.known is not None and held.known.scrapped:
        lacking.insert(0, f"it is scrap: {held.known.scrapped}")
    return lacking


def lacking_names(held: HeldUnit, options: StationOptions | None) -> tuple[str, ...]:
    """Return the names of what the unit still lacks, as an override keeps them."""
    names = [status.need.name for status in statuses_of(held, options) if not status.is_done]
    if lacks_variant(held, options):
        names.append(_UNKNOWN_VARIANT)
    if held.known is not None and held.known.scrapped:
        names.append(_NOT_SCRAP)
    return tuple(names)


def covers(held: HeldUnit, options: StationOptions | None) -> bool:
    """Return whether somebody let the unit pass, and named all that it lacks now."""
    return held.override is not None and set(lacking_names(held, options)) <= set(held.override.unmet)


def closing_changes(held: HeldUnit, options: StationOptions | None) -> tuple[Change, ...]:
    """Return what `unit.left` says: how many results, and of each requirement how it was met (FORMAT 3.1)."""
    changes = [
        Change("results_ok", None, held.results_ok),
        Change("results_not_ok", None, held.results_not_ok),
    ]
    if options is not None and options.is_tracking:
        changes += _unit_changes(held, options)
    for status in statuses_of(held, options):
        if status.need.has_records:
            named = held.override is not None and status.need.name in held.override.unmet
            changes += _tracked(status, overridden=named)
        else:
            changes += _counted(status)
    return tuple(changes)


def _unit_changes(held: HeldUnit, options: StationOptions) -> list[Change]:
    lacking = unmet(held, options)
    changes = [
        Change("complete", None, not lacking, status="nok" if lacking else "ok"),
        Change("attempt", None, held.attempt),
    ]
    named = zip(("product", "order", "batch"), held.variant, strict=True)
    changes += [Change(name, None, value) for name, value in named if value]
    if lacking:
        changes.append(Change("lacking", None, "; ".join(lacking)))
    if held.removed:
        more = [f"and {held.removed_more} more"] if held.removed_more else []
        changes.append(Change("removed", None, "; ".join([*held.removed, *more])))
    if held.known is not None and held.known.scrapped:
        changes.append(Change("scrapped", None, held.known.scrapped))
    if lacking and held.override is not None:
        changes.append(Change("overridden_by", None, held.override.person))
        changes.append(Change("override_reason", None, _words(held.override.code, held.override.reason)))
    return changes


def _words(code: str, reason: str) -> str:
    return f"{code}: {reason}" if reason and reason != code else code


def _tracked(status: RequirementStatus, *, overridden: bool) -> list[Change]:
    need, progress = status
    name = need.name
    state = "overridden" if overridden and not status.is_done else progress.state
    changes = [
        Change(name, None, state, status="ok" if status.is_done else "nok"),
        Change(f"{name}.kind", None, need.kind),
        Change(f"{name}.title", None, need.shown),
        Change(f"{name}.done", None, progress.done, low=str(need.wanted)),
    ]
    if progress.not_ok:
        changes.append(Change(f"{name}.not_ok", None, progress.not_ok, status="nok"))
    if progress.wrong and not status.is_done:
        changes.append(Change(f"{name}.wrong", None, progress.wrong))
    if progress.met_by:
        changes.append(Change(f"{name}.met_by", None, " ".join(progress.met_by)))
    if progress.left_out:
        changes.append(Change(f"{name}.met_by_left_out", None, progress.left_out))
    if progress.out_of_order:
        changes.append(Change(f"{name}.out_of_order", None, after=True))
    return changes


def _counted(status: RequirementStatus) -> list[Change]:
    need, progress = status
    lacking = max(0, need.wanted - progress.done)
    name = need.name
    changes = [
        Change(f"{name}.done", None, progress.done, low=str(need.wanted), status="low" if lacking else "ok")
    ]
    if lacking:
        changes.append(Change(f"{name}.missing", None, lacking))
    if progress.not_ok:
        changes.append(Change(f"{name}.not_ok", None, progress.not_ok, status="nok"))
    return changes
