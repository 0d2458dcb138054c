"""The problems of the lists that others own."""

from collections.abc import Iterable, Iterator

from linewitness.status.list_rows import ListRow
from linewitness.status.problems.problem import LineProblem


def problems_of_lists(rows: Iterable[ListRow], now_ns: int) -> Iterator[LineProblem]:
    """Yield which lists were refused, and which are too old to count."""
    for row in rows:
        if row.refusal:
            yield LineProblem(
                "list-refused",
                row.name,
                alarm=True,
                what=f"the list of {row.name} is refused, the last good one counts: {row.refusal}",
                hint="operator action required: let its owner correct the file; see docs/lists.md",
            )
        if row.max_age_s is not None and row.is_stale(now_ns):
            yield LineProblem(
                "list-stale",
                row.name,
                alarm=True,
                what=f"the list of {row.name} does not count any more: it is {row.age_s(now_ns) // 3600} h "
                f"old, and {row.max_age_s / 3600:g} h are allowed",
                hint="operator action required: let its owner issue it again, and see who brings it here",
            )
