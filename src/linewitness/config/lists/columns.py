"""What the columns of each list are called and what they mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from linewitness.stations.lists.book import ListName


@dataclass(frozen=True, slots=True)
class ListColumn:
    """A column: what it means, and whether a list must have it and each row must fill it."""

    meaning: str
    required: bool = True


_STEPS: Final = "the stations of a product in their order, separated by spaces or '>'"

COLUMNS: Final[Mapping[ListName, Mapping[str, ListColumn]]] = {
    "lots": {
        "part": ListColumn("part number"),
        "lot": ListColumn("number of the lot"),
        "status": ListColumn("released or blocked"),
        "reason": ListColumn("why a lot is blocked", required=False),
        "expiry": ListColumn("last day on which the lot may be used, YYYY-MM-DD", required=False),
        "supplier": ListColumn("who supplied the lot", required=False),
    },
    "calibrations": {
        "tool": ListColumn("a device's id or a tool's serial number"),
        "due": ListColumn("last day on which the tool is calibrated, YYYY-MM-DD"),
    },
    "qualifications": {
        "person": ListColumn("the person's id, as the badge says it"),
        "station": ListColumn("a station's id, or * for all stations"),
        "until": ListColumn("last day of the qualification, YYYY-MM-DD"),
    },
    "routes": {
        "product": ListColumn("the product"),
        "stations": ListColumn(_STEPS, required=False),
        "station": ListColumn("one station, where each step has a row of its own", required=False),
    },
}
#: A list of routes has one of these columns.
ROUTE_COLUMNS: Final = ("stations", "station")
