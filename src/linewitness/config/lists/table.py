"""The rows of a list's CSV: one header, bounded, and nothing that is guessed."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from linewitness.config.csv_text import CsvRows, CsvText
from linewitness.config.lists.columns import COLUMNS, ROUTE_COLUMNS
from linewitness.config.problems import ConfigurationProblem, SourcePosition, did_you_mean
from linewitness.config.reading import MAX_PROBLEMS
from linewitness.stations.lists.book import ListName

#: Rows of one list; what a plant uses at a time is far below.
MAX_ROWS: Final = 100_000
#: Characters of one cell: all of them may stand in a record.
MAX_CELL: Final = 200
_SEPARATORS: Final = ",;\t"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: the line in which it begins, and its cells that are not empty, by column."""

    line: int
    cells: Mapping[str, str]


class ListTable:
    """The rows of one list, in `rows`; what is wrong is in `problems`."""

    def __init__(self, name: ListName, file: Path, text: str) -> None:
        """Read the text of a list: comments, then the header, then the rows."""
        self.rows: list[TableRow] = []
        self.problems: list[ConfigurationProblem] = []
        self._columns = COLUMNS[name]
        self._name = name
        self._header: list[str] = []
        self._needed: list[str] = []
        lines = text.split("\n")
        self._header_line = next((at for at, line in enumerate(lines, 1) if not line.startswith("#")), 1)
        self._text = CsvText(file, text, separators=_SEPARATORS, header_line=self._header_line)
        rows = self._text.rows()
        try:
            self._header = [title.strip() for title in next(rows, [])]
            if self._check_header():
                self._take(rows)
        except csv.Error as error:
            hint = "a quote is not closed, or text follows a closed one"
            self.note(self._text.at(self._text.line_of(rows)), f"this is not CSV: {error}", hint)

    @property
    def is_full(self) -> bool:
        """Return whether so much is wrong that more would only scroll the first mistakes away."""
        return len(self.problems) >= MAX_PROBLEMS

    def place(self, row: TableRow, column: str) -> SourcePosition:
        """Return where a row's cell stands."""
        if column in self._header:
            return self._text.cell(row.line, self._header.index(column))
        return self._text.at(row.line)

    def note(self, place: SourcePosition, what: str, hint: str = "") -> None:
        """Note a mistake."""
        self.problems.append(ConfigurationProblem(place, "", what, hint))

    def _check_header(self) -> bool:
        first = self._header_line
        if not any(self._header):
            hint = f"columns: {', '.join(self._columns)}"
            self.note(self._text.at(first), "the first line must name the columns", hint)
            return False
        for index, title in enumerate(self._header):
            place = self._text.cell(first, index)
            if title not in self._columns:
                what = f"a list of {self._name} has no column {title!r}" if title else "a column has no name"
                self.note(place, what, did_you_mean(title, self._columns))
            elif title in self._header[:index]:
                self.note(place, f"the column {title!r} is given twice", "delete one of them")
        for title, column in self._columns.items():
            if column.required and title not in self._header:
                self.note(self._text.at(first), f"the column {title!r} is missing", column.meaning)
        if self._name == "routes" and sum(title in self._header for title in ROUTE_COLUMNS) != 1:
            what = "a list of routes has one of the columns 'stations' and 'station'"
            hint = "stations: a row for each product; station: a row for each step"
            self.note(self._text.at(first), what, hint)
        self._needed = [
            title
            for title, column in self._columns.items()
            if column.required or (title in ROUTE_COLUMNS and title in self._header)
        ]
        return not self.problems

    def _take(self, rows: CsvRows) -> None:
        line = self._text.line_of(rows) + 1
        for cells in rows:
            row = TableRow(
                line,
                {
                    title: text
                    for title, cell in zip(self._header, cells, strict=False)
                    if (text := cell.strip())
                },
            )
            line = self._text.line_of(rows) + 1
            if not row.cells and not any(cell.strip() for cell in cells):
                continue
            if len(self.rows) == MAX_ROWS:
                what = f"a list has at most {MAX_ROWS:,} rows"
                self.note(self._text.at(row.line), what, "leave out what this line does not need")
            elif self._is_right(row, cells):
                self.rows.append(row)
                continue
            if self.is_full or len(self.rows) == MAX_ROWS:
                return

    def _is_right(self, row: TableRow, cells: list[str]) -> bool:
        before = len(self.problems)
        if self._has_wrong_width(row, cells):
            return False
        for title, text in row.cells.items():
            if len(text) > MAX_CELL:
                what = f"{text[:40]!r}… has more than {MAX_CELL} characters"
                self.note(self.place(row, title), what, self._columns[title].meaning)
            elif not text.isprintable():
                what = f"{text!r} holds characters that cannot be printed"
                self.note(self.place(row, title), what, self._columns[title].meaning)
        for title in self._needed:
            if title not in row.cells:
                self.note(self.place(row, title), f"{title} is missing", self._columns[title].meaning)
        return len(self.problems) == before

    def _has_wrong_width(self, row: TableRow, cells: list[str]) -> bool:
        width = len(self._header)
        what = f"this row has {len(cells)} cells, and the header names {width} columns"
        if len(cells) > width and any(cells[width:]):
            place = self._text.cell(row.line, width)
            self.note(place, what, "put a text that holds the separator in quotes")
        elif len(cells) < width:
            place = self._text.cell(row.line, len(cells) - 1)
            self.note(place, what, "write an empty cell for each column that has no value")
        else:
            return False
        return True
