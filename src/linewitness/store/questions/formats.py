"""An answer as a table for people, as CSV, as JSON or as Parquet."""

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, get_args

import orjson

from linewitness.base.errors import ConfigurationError
from linewitness.store.questions.answers import AskedStream, ViewAnswer

AnswerFormat = Literal["table", "csv", "json", "parquet"]
FORMATS: Final[tuple[AnswerFormat, ...]] = get_args(AnswerFormat)

#: Columns of whole numbers; everything else is text.
_NUMBERS: Final = frozenset(
    (
        *("record", "first_record", "last_record", "records", "results", "not_ok", "units", "depth"),
        *("to_record_ms", "to_store_ms", "same_time", "bound_us"),
    )
)
#: A longer cell of a table is cut: the other formats have it whole.
_WIDEST: Final = 60
_CUT: Final = "…"


def render(answer: ViewAnswer, as_format: AnswerFormat) -> bytes:
    """Return an answer in a format; a table and JSON say themselves how far it holds."""
    match as_format:
        case "csv":
            return _csv(answer)
        case "json":
            return _json(answer)
        case "parquet":
            return _parquet(answer)
        case "table":
            lines = [*_table(answer), "", *how_far(answer)]
            return "".join(f"{line}\n" for line in lines).encode()


def how_far(answer: ViewAnswer) -> Iterator[str]:
    """Say for each stream up to which record the answer holds, and which gaps are known inside."""
    for stream in answer.streams:
        yield f"holds for {stream.text}"
        for gap in stream.gaps:
            yield f"  gap: {gap.text}"
        if not stream.gaps:
            yield "  no gap is known inside"
    if answer.more_gaps:
        yield "there are more gaps: `linewitness store gaps` lists all"
    yield from answer.remarks


def _table(answer: ViewAnswer) -> Iterator[str]:
    """Yield the lines of a table without the columns that say nothing."""
    used = [at for at in range(len(answer.columns)) if any(row[at] is not None for row in answer.rows)]
    cells = [[_cell(row[at]) for at in used] for row in answer.rows]
    head = [answer.columns[at] for at in used]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    for line in (head, *cells) if cells else ():
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    count = len(answer.rows)
    yield "nothing was found" if not count else "1 row" if count == 1 else f"{count} rows"


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    # What a device sent must not move the cursor of whoever reads it.
    text = "".join(char if char.isprintable() else _CUT for char in text)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + _CUT


def _csv(answer: ViewAnswer) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows([_harmless(value) for value in row] for row in answer.rows)
    return text.getvalue().encode()


def _harmless(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula: what people read must not run."""
    is_formula = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{value}" if is_formula and not _is_decimal(value) else value


def _is_decimal(text: str) -> bool:
    return text[1:].replace(".", "", 1).isdecimal()


def _json(answer: ViewAnswer) -> bytes:
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    whole = {"rows": rows, **_about(answer)}
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _about(answer: ViewAnswer) -> dict[str, Any]:
    streams = [_stream(stream) for stream in answer.streams]
    return {"streams": streams, "more_gaps": answer.more_gaps, "remarks": list(answer.remarks)}


def _stream(stream: AskedStream) -> dict[str, Any]:
    return asdict(stream)


def _parquet(answer: ViewAnswer) -> bytes:
    """Return a file whose metadata `linewitness` say how far it holds."""
    if find_spec("duckdb") is None:
        raise ConfigurationError(
            "Parquet needs DuckDB", hint="install it with pip install 'linewitness[parquet]'"
        )
    import duckdb  # noqa: PLC0415 (only this format needs it)

    with TemporaryDirectory() as name:
        source, target = Path(name) / "rows.ndjson", Path(name) / "rows.parquet"
        with source.open("wb") as file:
            for row in answer.rows:
                file.write(orjson.dumps(dict(zip(answer.columns, row, strict=True))) + b"\n")
        types = {column: "BIGINT" if column in _NUMBERS else "VARCHAR" for column in answer.columns}
        columns = ", ".join(f"'{column}': '{kind}'" for column, kind in types.items())
        about = orjson.dumps(_about(answer)).decode().replace("'", "''")
        with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
            connection.execute(
                f"COPY (SELECT * FROM read_json('{source}', format = 'newline_delimited', "  # noqa: S608
                f"columns = {{{columns}}})) TO '{target}' "
                f"(FORMAT parquet, COMPRESSION zstd, KV_METADATA {{linewitness: '{about}'}})"
            )
        return target.read_bytes()
