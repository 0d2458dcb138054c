"""Whether a reason that a person gives says anything."""

from collections.abc import Mapping
from typing import NamedTuple

from linewitness.stations.work_options import ReasonOptions


class GivenReason(NamedTuple):
    """A reason as it was read: code, text, and why it does not count (`refused`, empty where it does)."""

    code: str
    text: str
    refused: str = ""

    @property
    def words(self) -> str:
        """Code and text as one."""
        return f"{self.code}: {self.text}" if self.text else self.code


def reason_in(groups: Mapping[str, str | None], options: ReasonOptions | None) -> GivenReason:
    """Return the reason in the groups `reason` and `text` of a code.

    With a list of codes, the reason is one of them; its meaning becomes the text where none was given.
    """
    code, text = (groups.get("reason") or "").strip(), (groups.get("text") or "").strip()
    if not code:
        return GivenReason(code, text, "no reason is given")
    if options is None:
        return GivenReason(code, text)
    refused = ""
    if options.codes and code not in options.codes:
        refused = f"{code!r} is none of the reasons {', '.join(options.codes)}"
    elif not options.codes and _says_nothing(code, options):
        refused = _asked_for(code, options)
    elif text and _says_nothing(text, options):
        refused = _asked_for(text, options)
    elif not text and options.text == "required":
        refused = "a text must come with the code"
    return GivenReason(code, text or options.codes.get(code, ""), refused)


def _asked_for(text: str, options: ReasonOptions) -> str:
    length = f", in {options.min_length} characters or more" if options.min_length > 1 else ""
    return f"{text!r} says nothing: say what is so{length}"


def _says_nothing(text: str, options: ReasonOptions) -> bool:
    plain = text.casefold().strip(" .!")
    return len(text) < options.min_length or plain in {
        each.casefold().strip(" .!") for each in options.refuse
    }
