"""The embedded SQL engine of the preparation: DuckDB, out of core, in a scratch folder beside the output."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from gmeta_api.errors import DataError

MEMORY_LIMIT = "1GB"
"""Rows beyond it lie on disk. What the engine sorts are tasks and keys; rows are sorted outside (see buckets.py)."""

THREADS = 2
AS_WRITTEN = "join_order,build_side_probe_side"
"""Joins are made as they are written, the small table last: the optimiser, which guesses that a condition on an
expression leaves few rows, would hold all rows in memory and fail at the limit."""

NULL_KEY = -(2**63)
"""Key of a missing categorical value."""

MACROS = (
    # DuckDB has no cast that reinterprets the bits of an unsigned integer.
    """CREATE MACRO signed_bits(u) AS
       CASE WHEN u > 9223372036854775807 THEN CAST(CAST(u AS HUGEINT) - 18446744073709551616 AS BIGINT)
            ELSE CAST(u AS BIGINT) END""",
    "CREATE MACRO stable_hash(t) AS signed_bits(md5_number_lower(t))",
    """CREATE MACRO text_key(t) AS
       CASE WHEN CAST(TRY_CAST(t AS BIGINT) AS VARCHAR) = t THEN CAST(t AS BIGINT)
            WHEN t <> '' THEN stable_hash(t) END""",
)


def mixed(bits: str) -> str:
    """Return SQL of the mixing function of MurmurHash3 (fmix32): a bijection of the UBIGINTs below 2**32 onto them.

    It scatters them as MD5 would, at a fortieth of the time. DuckDB evaluates an expression that occurs twice once.
    """
    first = f"(xor({bits}, {bits} >> 16) * 2246822507 & 4294967295)"
    second = f"(xor({first}, {first} >> 13) * 3266489909 & 4294967295)"
    return f"xor({second}, {second} >> 16)"


class Engine:
    """A DuckDB database in ``folder`` that spills to disk above its memory limit.

    Tables are written as they are, since to compress them takes longer.

    Where DuckDB fails, the methods raise DataError; their argument ``what`` says what was being done.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self._connection = duckdb.connect(
            folder / "work.duckdb",
            config={
                "memory_limit": MEMORY_LIMIT,
                "threads": THREADS,
                "temp_directory": str(folder / "spill"),
                "autoinstall_known_extensions": False,
            },
        )
        self._connection.execute("SET force_compression = 'uncompressed'")
        self._connection.execute(f"SET disabled_optimizers = '{AS_WRITTEN}'")
        for macro in MACROS:
            self._connection.execute(macro)

    def close(self) -> None:
        """Close the database, so that its folder can be removed."""
        self._connection.close()

    def seal(self) -> None:
        """Forbid access to files from now on: the manifest's SQL expressions may use the staged rows only."""
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def copy(self, sql: str) -> None:
        """Execute a statement that reads source files.

        Raises:
            duckdb.Error: As it is; only the caller knows the files that it is about.
        """
        with _interruptible():
            self._connection.execute(sql)

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        """Return all rows of a query of source files with a small result.

        Raises:
            duckdb.Error: As it is.
        """
        with _interruptible():
            return self._connection.execute(sql).fetchall()

    def run(self, what: str, sql: str) -> None:
        """Execute a statement."""
        with _failures(what):
            self._connection.execute(sql)

    def rows(self, what: str, sql: str) -> list[tuple[Any, ...]]:
        """Return all rows of a query with a small result."""
        with _failures(what):
            return self._connection.execute(sql).fetchall()

    def columns(self, what: str, sql: str) -> list[tuple[str, str]]:
        """Return names and types of a query's columns without running it."""
        return [(name, kind) for name, kind, *_ in self.rows(what, f"DESCRIBE {sql}")]

    def table(self, what: str, sql: str) -> pa.Table:
        """Return a query's result in memory."""
        with _failures(what):
            return self._connection.sql(sql).to_arrow_table()

    def stream(self, what: str, sql: str, batch_rows: int = 65536) -> Iterator[pa.RecordBatch]:
        """Yield a query's result without holding it in memory."""
        with _failures(what):
            yield from self._connection.sql(sql).to_arrow_reader(batch_rows)

    @contextmanager
    def given(self, name: str, table: pa.Table) -> Iterator[None]:
        """Let queries read a table in memory under a name."""
        self._connection.register(name, table)
        try:
            yield
        finally:
            self._connection.unregister(name)

    def is_expression(self, text: str) -> bool:
        """Say whether ``text`` is one SQL expression and nothing more."""
        try:
            statements = self._connection.extract_statements(f"SELECT (\n{text}\n)")
        except duckdb.Error:
            return False
        return len(statements) == 1


@contextmanager
def _failures(what: str) -> Iterator[None]:
    """Say in one line what was being done and why DuckDB failed; a stream fails with an OSError of Arrow's."""
    try:
        with _interruptible():
            yield
    except (duckdb.Error, OSError) as error:
        reason = str(error).split("\n", 1)[0].split("Error: ", 1)[-1].strip()
        raise DataError(f"{what}: {reason}") from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C be what it is: DuckDB takes the signal, and raises a RuntimeError for it."""
    try:
        yield
    except RuntimeError as error:
        if str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from None


def quoted(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text value."""
    return "'" + text.replace("'", "''") + "'"
