"""Read a table of points (CSV) that a YAML names, so that each cell knows its file, line and column."""

import csv
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from linewitness.config.csv_text import CsvRows, CsvText, decoded
from linewitness.config.problems import (
    ConfigurationErrors,
    ConfigurationProblem,
    SourcePosition,
    did_you_mean,
    shown,
)
from linewitness.config.reading import MAX_PROBLEMS, read_bytes
from linewitness.config.settings import mentions
from linewitness.config.tree import Plain, WrittenOut, plain
from linewitness.devices.options import PointOptions

#: Bytes that the tables of points of one line may have in all: some 300 for each of 100,000 points.
MAX_TABLE_BYTES: Final = 32 * 1024 * 1024

_DECIMAL_COMMA: Final = re.compile(r"[-+]?[0-9]+,[0-9]+")


class PointsTable:
    """One CSV file: the rows become entries of `points:`; what is wrong is in `problems`."""

    def __init__(self, file: Path, columns: Mapping[str, FieldInfo]) -> None:
        """Take the file and the settings that a column may be named after."""
        self.problems: list[ConfigurationProblem] = []
        self.header_is_right = True
        self.entries: list[WrittenOut] = []
        self.size = 0
        self._file = file
        self._known = columns
        self._text = CsvText(file, "")
        self._header: list[str] = []

    def read(self, most: int) -> None:
        """Read the file if it has at most `most` bytes. Raises OSError if it cannot be read."""
        with self._file.open("rb") as file:
            data = file.read(most + 1)
        self.size = len(data)
        if len(data) > most:
            what = f"the tables of points of this line are larger than {MAX_TABLE_BYTES // 1024**2} MiB"
            self._note(SourcePosition(file=str(self._file)), what, "leave out what is not a setting")
            return
        text = decoded(data, self._file)
        if not isinstance(text, str):
            self.problems.append(text)
            return
        self._text = CsvText(self._file, text)
        rows = self._text.rows()
        try:
            self._header = [name.strip() for name in next(rows, [])]
            self.header_is_right = self._check_header()
            self._take(rows)
        except csv.Error as error:
            hint = "a quote is not closed, or text follows a closed one"
            self._note(self._text.at(rows.line_num, 1), f"this is not CSV: {error}", hint)

    def _check_header(self) -> bool:
        if not any(self._header):
            names = ", ".join(self._known)
            self._note(self._text.at(1, 1), "the first line must name the columns", f"columns: {names}")
            return False
        for index, name in enumerate(self._header):
            place = self._text.cell(1, index)
            if name not in self._known:
                what = f"there is no setting {name!r} of a point" if name else "a column has no name"
                self._note(place, what, did_you_mean(name, self._known))
            elif name in self._header[:index]:
                self._note(place, f"the column {name!r} is given twice", "delete one of them")
        for name, field in PointOptions.model_fields.items():
            if field.is_required() and name not in self._header:
                hint = (self._known[name].description or "").rstrip(".")
                self._note(self._text.at(1, 1), f"the column {name!r} is missing", hint)
        return not self.problems

    def _take(self, rows: CsvRows) -> None:
        header, entries = self._header, self.entries
        file, line = str(self._file), rows.line_num + 1
        special, unknown = self._special(), {name for name in header if name not in self._known}
        for row in rows:
            settings: dict[str, Plain] = {
                name: text for name, cell in zip(header, row, strict=False) if (text := cell.strip())
            }
            self._check_width(row, line, is_empty=not settings)
            for name in unknown & settings.keys():
                del settings[name]
            for name in special & settings.keys():
                settings[name] = self._value(name, str(settings[name]), line)
            if settings:
                place = SourcePosition(line, 1, file)
                entries.append(WrittenOut(place, {}, settings=settings, at=partial(self._place, line)))
            if len(self.problems) >= MAX_PROBLEMS:
                return
            line = rows.line_num + 1

    def _special(self) -> set[str]:
        """Return the columns whose cells are not taken as they are: groups, and numbers with a comma."""
        kinds = (dict, BaseModel) if self._text.delimiter == "," else (dict, BaseModel, float, Decimal)
        known = [name for name in self._header if name in self._known]
        return {name for name in known if mentions(self._known[name].annotation, kinds)}

    def _check_width(self, row: list[str], line: int, *, is_empty: bool) -> None:
        width = len(self._header)
        what = f"this row has {len(row)} cells, and the header names {width} columns"
        if len(row) > width and any(row[width:]):
            self._note(self._text.cell(line, width), what, "put a text that holds the separator in quotes")
        elif len(row) < width and not is_empty:
            hint = "write an empty cell for each setting that is not given"
            self._note(self._text.cell(line, len(row) - 1), what, hint)

    def _value(self, name: str, text: str, line: int) -> Plain:
        if not text.startswith("{"):
            return text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text
        try:
            return plain(read_bytes(text.encode(), self._file))
        except ConfigurationErrors as errors:
            self._note(self._place(line, name), f"{shown(text)}: {errors.problems[0].what}", "")
            return text

    def _place(self, line: int, name: str) -> SourcePosition:
        """Return where the cell of a column stands, for the row that begins in `line`."""
        return (
            self._text.cell(line, self._header.index(name))
            if name in self._header
            else self._text.at(line, 1)
        )

    def _note(self, place: SourcePosition, what: str, hint: str) -> None:
        self.problems.append(ConfigurationProblem(place, "", what, hint))
