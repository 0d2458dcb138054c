"""Text of a CSV file, so that each cell knows its file, line and column."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from linewitness.config.problems import ConfigurationProblem, SourcePosition
from linewitness.config.reading import place_after

#: What may stand between cells; the header says which.
SEPARATORS: Final = ",;"


class CsvRows(Protocol):
    """What `csv.reader` returns."""

    @property
    def line_num(self) -> int:
        """Lines read so far."""

    def __iter__(self) -> Iterator[list[str]]:
        """Return the rows."""

    def __next__(self) -> list[str]:
        """Return the next row."""


def decoded(data: bytes, file: Path) -> str | ConfigurationProblem:
    """Return the text of a file, or that it is none."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = place_after(data[: error.start].decode("utf-8", errors="replace"))
        place = SourcePosition(good.line, good.column, str(file))
        return ConfigurationProblem(place, "", "this is not UTF-8", "save the file as CSV UTF-8")


class CsvText:
    """The lines of a CSV file. `header_line` is the one that names the columns; `separators` are tried."""

    def __init__(self, file: Path, text: str, *, separators: str = SEPARATORS, header_line: int = 1) -> None:
        """Take the text and where its header is."""
        self._file = file
        self._lines = list(io.StringIO(text, newline=""))
        self._header_line = header_line
        first = self._lines[header_line - 1] if len(self._lines) >= header_line else ""
        self.delimiter = max(separators, key=first.count)

    def rows(self) -> CsvRows:
        """Return the rows, the header first; csv.Error where this is no CSV."""
        lines = self._lines[self._header_line - 1 :]
        return csv.reader(lines, delimiter=self.delimiter, strict=True, skipinitialspace=True)

    def line_of(self, rows: CsvRows) -> int:
        """Return the line in which the row ends that was read last."""
        return rows.line_num + self._header_line - 1

    def cell(self, line: int, index: int) -> SourcePosition:
        """Return where a cell stands in the row that begins in `line`."""
        quoted, column = False, 1
        for number in range(line - 1, len(self._lines)):
            text = self._lines[number]
            for column, character in enumerate(text, start=1):
                if index == 0:
                    return self.at(number + 1, column)
                quoted ^= character == '"'
                index -= character == self.delimiter and not quoted
            if not quoted:
                return self.at(number + 1, max(1, len(text.rstrip("\r\n")) + 1))
        return self.at(len(self._lines), column)

    def at(self, line: int, column: int = 1) -> SourcePosition:
        """Return a place in this file."""
        return SourcePosition(max(1, line), column, str(self._file))
