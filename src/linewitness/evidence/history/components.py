"""What was built into a unit and taken out of it again: its genealogy, from the records of components."""

from dataclasses import dataclass, field, replace
from typing import Any

from linewitness.evidence.history.values import INSTALLED, Place, actor_of, stated, text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledComponent:
    """A component of a unit: `installed` and `removal` are the records that say so, None where there is none.

    What was removed and whose `component.installed` is not among the records has no `at` and no `by`.
    """

    id: str
    part: str
    serial: str
    lot: str
    quantity: str
    position: str
    supplier: str
    expiry: str
    installed: Place | None
    at: str
    by: str
    removal: Place | None = None
    removed_at: str = ""
    removed_by: str = ""
    removed_why: str = ""

    @property
    def name(self) -> str:
        """Serial number and lot, those that are known."""
        return ", ".join(each for each in (self.serial, self.lot and f"lot {self.lot}") if each) or self.id


@dataclass(slots=True)
class Genealogy:
    """The components of one unit, in the order in which they came."""

    components: list[InstalledComponent] = field(default_factory=list)

    def take(self, members: dict[str, Any]) -> None:
        """Take a parsed `component.installed` or `component.removed` of the unit."""
        if members["kind"] == INSTALLED:
            self.components.append(component_of(members, installed=members["sequence_no"]))
            return
        gone = component_of(members, installed=None)
        place = self._place_of(gone)
        if place is None:
            place = len(self.components)
            self.components.append(replace(gone, at="", by=""))
        self.components[place] = replace(
            self.components[place],
            removal=members["sequence_no"],
            removed_at=members["occurred_at"],
            removed_by=actor_of(members),
            removed_why=members["reason"],
        )

    @property
    def inside(self) -> list[InstalledComponent]:
        """What was not taken out again."""
        return [one for one in self.components if one.removal is None]

    def _place_of(self, gone: InstalledComponent) -> int | None:
        """Return where the removed component stands: the last of its id, at its position if one is said."""
        for place in range(len(self.components) - 1, -1, -1):
            one = self.components[place]
            if one.removal is None and one.id == gone.id and gone.position in ("", one.position):
                return place
        return None


def component_of(members: dict[str, Any], *, installed: Place | None) -> InstalledComponent:
    """Return the component that a record is about."""
    values = stated(members)
    return InstalledComponent(
        id=members["resource"]["id"],
        part=text_of(values, "part"),
        serial=text_of(values, "serial"),
        lot=text_of(values, "lot"),
        quantity=text_of(values, "quantity"),
        position=text_of(values, "position"),
        supplier=text_of(values, "supplier"),
        expiry=text_of(values, "expiry"),
        installed=installed,
        at=members["occurred_at"],
        by=actor_of(members),
    )


def words_of(members: dict[str, Any]) -> str:
    """Return what a record says beside its reason: codes, parts, who had to sign what."""
    values = stated(members)
    named = ("part", "serial", "lot", "requirement", "meaning", "people", "unmet")
    codes = [text for name in ("code", "reason_code") if (text := text_of(values, name))]
    return ", ".join([*codes, *(f"{name} {text}" for name in named if (text := text_of(values, name)))])
