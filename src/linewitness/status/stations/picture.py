"""What of a station's picture is shown, in which order and in which words: pure, for the template."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from linewitness.base.clock import NS_PER_S
from linewitness.stations.view import MaterialView, RequirementView, StationView

#: So many are shown at once, without scrolling, in letters that can be read from two metres.
MOST_ROWS: Final = 12
MOST_WRONG: Final = 2
MOST_MATERIALS: Final = 3
#: Up to so many rows there is one column, with larger letters.
FEW_ROWS: Final = 6
#: Longer texts have smaller letters, so that the layout holds; in characters.
_SHORT: Final = 16
_LONG: Final = 30

#: A state is a symbol and a word, and only then a colour.
STATES: Final = {"done": ("✓", "done"), "missing": ("○", "missing"), "not_met": ("✗", "not met")}

Tone = Literal["good", "bad", "next", "idle"]


@dataclass(frozen=True, slots=True)
class Headline:
    """The largest words: what is next, or that nothing is."""

    tone: Tone
    symbol: str
    word: str
    text: str
    action: str = ""
    until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Wrong:
    """Something that is wrong, and what to do about it."""

    text: str
    action: str


@dataclass(frozen=True, slots=True)
class ScreenPicture:
    """A station as its screen shows it. `rest` and `more_wrong` say what there is no room for."""

    view: StationView
    headline: Headline
    wrong: tuple[Wrong, ...]
    more_wrong: int
    rows: tuple[RequirementView, ...]
    rest: str
    materials: tuple[MaterialView, ...]
    more_materials: int
    said: str

    @property
    def one_column(self) -> bool:
        """Return whether the requirements fit below each other."""
        return len(self.rows) <= FEW_ROWS


def picture_of(view: StationView) -> ScreenPicture:
    """Choose and put into words what a screen shows."""
    wrong = tuple(_wrong(view))
    rows, hidden = _rows(view)
    headline = _headline(view)
    said = f"{view.unit or 'No unit'}. {headline.word}: {headline.text}."
    return ScreenPicture(
        view,
        headline,
        wrong[:MOST_WRONG],
        max(0, len(wrong) - MOST_WRONG),
        rows,
        _counted(hidden),
        view.materials[:MOST_MATERIALS],
        max(0, len(view.materials) - MOST_MATERIALS),
        " ".join([said, *(f"Wrong: {each.text}. {each.action}" for each in wrong[:MOST_WRONG])]),
    )


def _headline(view: StationView) -> Headline:
    if view.unit is None:
        return Headline("idle", "○", "No unit", "Read the code of the unit")
    if view.complete:
        leaves = "The unit may leave" if view.gate != "closed" else "The gate is still closed"
        return Headline("good", "✓", "Complete", leaves)
    if view.passed:
        return Headline("bad", "!", "Let pass, not complete", view.passed)
    return _step(view)


def _step(view: StationView) -> Headline:
    """Return what is to be done now at a unit that is not complete."""
    step = next((each for each in view.requirements if each.id == view.next), None)
    if step is not None:
        return Headline("next", "➜", "Next", step.title, step.action, step.until_ns)
    waiting = [each for each in view.requirements if each.until_ns is not None and each.state == "missing"]
    if waiting:
        first = min(waiting, key=lambda each: each.until_ns or 0)
        return Headline("next", "➜", "Wait", first.title, first.action, first.until_ns)
    if view.requirements:
        return Headline("bad", "✗", "Not complete", "See what is wrong, and what to do")
    return Headline("idle", "○", "Unit here", "Nothing is required at this station")


def _wrong(view: StationView) -> Iterator[Wrong]:
    """Yield what is wrong: of the unit first, then what was refused, the newest first."""
    if view.unknown:
        yield Wrong(f"Unit not certain: {view.unknown}", "Read the code of the unit again")
    for each in view.requirements:
        if each.wrong or each.state == "not_met":
            yield Wrong(f"{each.title}: {each.wrong or 'not met'}", each.action)
    # What is wrong now comes before what was refused.
    for note in sorted(view.notes, key=lambda each: (each.at_ns != 0, -each.at_ns)):
        yield Wrong(note.text, note.action)
    for material in view.materials:
        if not material.known:
            yield Wrong(f"{material.title}: lot not certain", "Read the code of the lot again")


def _rows(view: StationView) -> tuple[tuple[RequirementView, ...], Sequence[RequirementView]]:
    """Return what is shown and what is not: all in order, or what matters most where they are too many."""
    found = view.requirements
    if len(found) <= MOST_ROWS:
        return found, ()
    ranks = {"not_met": 1, "missing": 2, "done": 3}
    ranked = sorted(found, key=lambda each: 0 if each.id == view.next else ranks[each.state])
    return tuple(ranked[:MOST_ROWS]), tuple(ranked[MOST_ROWS:])


def _counted(hidden: Sequence[RequirementView]) -> str:
    """Return how many are not shown, and how these are; nothing where all are shown."""
    if not hidden:
        return ""
    counts = {state: sum(each.state == state for each in hidden) for state in STATES}
    named = (f"{count} {STATES[state][1]}" for state, count in counts.items() if count)
    return f"and {len(hidden)} more: {', '.join(named)}"


def size_of(text: str) -> str:
    """Return how large the letters of a text can be."""
    if len(text) <= _SHORT:
        return "large"
    return "medium" if len(text) <= _LONG else "small"


def time_left(until_ns: int, now_ns: int) -> str:
    """Return a waiting time that counts down, such as 4:05 or 1:00:00; the page's script does the same."""
    seconds = max(0, -(-(until_ns - now_ns) // NS_PER_S))
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"
