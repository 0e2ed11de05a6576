"""Source files: which they are, what columns they have, and their copy into the engine."""

# ruff: noqa: S608 - see engine.py

import csv
import gzip
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from gmeta_api.errors import DataError
from gmeta_worker.metaio.prepare.engine import Engine, literal

Format = Literal["csv", "parquet"]
SAMPLED_ROWS = 10_000
"""Of a csv file; if they mislead, the file is read once more."""

SUFFIXES: dict[str, Format] = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet"}


@dataclass(frozen=True)
class Source:
    """Files of one table, all with the same columns.

    Attributes:
        name: As the manifest spells it.
        files: At least one, sorted.
        format: csv or parquet.
        delimiter: Of csv.
        columns: Header, in file order.
    """

    name: str
    files: tuple[Path, ...]
    format: Format
    delimiter: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """A column in the engine: a staged table's ``c<index>``. Columns of csv are text, or BIGINT (see ``stage``)."""

    table: str
    index: int
    name: str
    kind: str

    @property
    def sql(self) -> str:
        """The column, as SQL."""
        return f"{self.table}.c{self.index}"


def find_source(root: Path, name: str, form: str, delimiter: str | None) -> Source:
    """Resolve a source of the manifest to files and their common header.

    Args:
        root: Folder of the volume.
        name: File or glob below it.
        form: ``auto``, ``csv`` or ``parquet``.
        delimiter: Of csv; None for a tab in ``.tsv`` and a comma elsewhere.

    Raises:
        DataError: No file, unknown format, unreadable header, or files with different columns.
    """
    files = tuple(sorted(path for path in root.glob(name) if path.is_file()))
    if not files:
        raise DataError(f"source {name}: no such file below {root}; check the path and the volume's folder")
    kind = _format(name, files[0], form)
    separator = delimiter or ("\t" if ".tsv" in files[0].suffixes else ",")
    headers = [_header(name, file, kind, separator) for file in files]
    for file, header in zip(files, headers, strict=True):
        if header != headers[0]:
            raise DataError(
                f"source {name}: {file.name} has columns {', '.join(header)}, but {files[0].name} has "
                f"{', '.join(headers[0])}; all files of a source need the same columns"
            )
    return Source(name, files, kind, separator, headers[0])


def stage(engine: Engine, source: Source, table: str, wanted: Collection[str]) -> list[Column]:
    """Copy the wanted columns of a source into the engine, rows in source order.

    A csv column becomes BIGINT where all its values are integers as one prints them, so that text and number say the
    same, and stays text otherwise: `007` and `7` are two values.

    Raises:
        DataError: Damaged file; a csv line is named by its number.
    """
    indices = [index for index, name in enumerate(source.columns) if name in wanted]
    what = f"source {source.name}"
    try:
        integers = _seem_integers(engine, source, indices) if source.format == "csv" else []
        engine.copy(f"CREATE TABLE {table} AS {_typed(source, indices, integers)}")
        if integers and engine.rows(what, f"SELECT 1 FROM {table} WHERE NOT as_printed LIMIT 1"):
            engine.copy(f"CREATE OR REPLACE TABLE {table} AS {_typed(source, indices, [])}")
    except duckdb.Error as error:
        raise _unreadable(what, source, error) from None
    kinds = dict(engine.columns(what, f"SELECT * FROM {table}"))
    return [Column(table, index, source.columns[index], kinds[f"c{index}"]) for index in indices]


def _seem_integers(engine: Engine, source: Source, indices: Sequence[int]) -> list[int]:
    """Which columns have integers, and nothing else, among the first rows."""
    if not indices:
        return []
    checks = ", ".join(f"bool_and({_as_printed(index)}) AND count(nullif(c{index}, '')) > 0" for index in indices)
    sample = f"SELECT * FROM {_scan(source)} LIMIT {SAMPLED_ROWS}"
    (found,) = engine.read(f"SELECT {checks} FROM ({sample})")
    return [index for index, fits in zip(indices, found, strict=True) if fits]


def _typed(source: Source, indices: Sequence[int], integers: Collection[int]) -> str:
    """SELECT the columns, some as BIGINT; ``as_printed`` says whether that lost nothing of a row."""
    columns = [f"TRY_CAST(c{index} AS BIGINT) AS c{index}" if index in integers else f"c{index}" for index in indices]
    check = [" AND ".join(map(_as_printed, integers)) + " AS as_printed"] if integers else []
    return f"SELECT {', '.join([*columns, *check])} FROM {_scan(source)}"


def _as_printed(index: int) -> str:
    """Whether a text is empty, or an integer as one prints it."""
    return f"coalesce(CAST(TRY_CAST(c{index} AS BIGINT) AS VARCHAR), '') = coalesce(c{index}, '')"


def _format(name: str, file: Path, form: str) -> Format:
    if form != "auto":
        return cast("Format", form)
    suffix = Path(file.stem).suffix if file.suffix == ".gz" else file.suffix
    if suffix not in SUFFIXES:
        raise DataError(f"source {name}: cannot tell the format of {file.name}; set format to csv or parquet")
    return SUFFIXES[suffix]


def _header(name: str, file: Path, kind: Format, delimiter: str) -> tuple[str, ...]:
    header = _parquet_header(name, file) if kind == "parquet" else _csv_header(name, file, delimiter)
    repeated = sorted({column for column in header if column and header.count(column) > 1})
    if repeated:
        raise DataError(f"source {name}: {file.name} has the column {repeated[0]!r} twice; rename one")
    return header


def _parquet_header(name: str, file: Path) -> tuple[str, ...]:
    try:
        return tuple(pq.read_schema(file).names)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"source {name}: {file.name} is not a readable Parquet file: {_first_line(error)}") from None


def _csv_header(name: str, file: Path, delimiter: str) -> tuple[str, ...]:
    try:
        with (gzip.open if file.suffix == ".gz" else open)(file, "rb") as raw:
            line = raw.readline().decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise DataError(f"source {name}: the header of {file.name} is not UTF-8; convert the file to UTF-8") from None
    except (OSError, EOFError) as error:
        raise DataError(f"source {name}: {file.name} cannot be read: {_first_line(error)}") from None
    if not line:
        raise DataError(f"source {name}: {file.name} is empty; expected a header line and rows")
    return tuple(next(csv.reader([line], delimiter=delimiter)) if len(delimiter) == 1 else line.split(delimiter))


def _scan(source: Source) -> str:
    files = "[" + ", ".join(literal(str(file)) for file in source.files) + "]"
    if source.format == "parquet":
        names = ", ".join(f"c{index}" for index in range(len(source.columns)))
        return f"read_parquet({files}) AS source({names})"
    columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(source.columns)))
    return (
        f"read_csv({files}, auto_detect = false, header = true, delim = {literal(source.delimiter)}, "
        f"quote = '\"', escape = '\"', columns = {{{columns}}})"
    )


def _unreadable(what: str, source: Source, error: duckdb.Error) -> DataError:
    """Say in one line what DuckDB's CSV and Parquet readers say in twenty."""
    text = str(error)
    line = re.search(r"CSV Error on Line: (\d+)", text)
    place = f"{_named_file(source.files, text)}{f', line {line[1]}' if line else ''}"
    if fields := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text):
        return DataError(f"{what}: {place}: expected {fields[1]} fields, found {fields[2]}; correct or remove the line")
    if "unicode" in text or "utf-8" in text:
        return DataError(f"{what}: {place}: not UTF-8; convert the file to UTF-8")
    reason = next((part for part in text.split("\n")[2:] if part.strip()), "") if line else text.split("\n", 1)[0]
    return DataError(f"{what}: {place}: cannot be read: {reason.strip()}")


def _named_file(files: Sequence[Path], text: str) -> str:
    named = [file.name for file in files if str(file) in text]
    return named[0] if named else files[0].name


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
