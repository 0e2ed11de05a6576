"""Columns of the joined source: which ones a spec uses, where each comes from, and the type it has in expressions."""

# ruff: noqa: S608 - see engine.py

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from gmeta_api.errors import DataError
from gmeta_api.spec.prepare import PrepareSpec
from gmeta_worker.metaio.prepare.engine import Engine
from gmeta_worker.metaio.prepare.sources import Column, Source

INFERRED = {
    "BIGINT": "regexp_full_match({0}, '[+-]?(0|[1-9][0-9]*)') AND TRY_CAST({0} AS BIGINT) IS NOT NULL",
    "DOUBLE": "TRY_CAST({0} AS DOUBLE) IS NOT NULL AND NOT regexp_full_match({0}, '0[0-9]+')",
    "BOOLEAN": "lower({0}) IN ('true', 'false')",
    "TIMESTAMP": "TRY_CAST({0} AS TIMESTAMP) IS NOT NULL",
}
"""Types that a csv column may have in expressions: the first that every value of the column fits; else text."""


@dataclass(frozen=True)
class Use:
    """A column or expression in the manifest: ``what`` names the place, for messages."""

    what: str
    text: str


def uses(spec: PrepareSpec) -> Iterator[Use]:
    """List everything in a spec that is a column or an expression."""
    for column in spec.task:
        yield Use("task", column)
    for label in spec.labels:
        yield Use(f"label {label.name}", label.rule)
    for feature in spec.features:
        for column in feature.columns:
            yield Use(f"feature {feature.name}", column)
    if spec.support_order.column is not None:
        yield Use("supportOrder", spec.support_order.column)
    if spec.split.column is not None:
        yield Use("split", spec.split.column)


def wanted_columns(spec: PrepareSpec, sources: Sequence[Source]) -> set[str]:
    """Name the source columns that a spec needs: join keys, columns, and whatever an expression mentions."""
    available = {column for source in sources for column in source.columns}
    wanted = {key for join in spec.joins for key in join.on}
    for use in uses(spec):
        wanted |= {use.text} if use.text in available else mentioned(use.text, available)
    return wanted & available


def mentioned(expression: str, columns: set[str]) -> set[str]:
    """Name the columns that an expression may mean; SQL identifiers are case-insensitive."""
    quoted = re.findall(r'"((?:[^"]|"")+)"', expression)
    words = {word.lower() for word in [*re.findall(r"\w+", expression), *quoted]}
    return {column for column in columns if column.lower() in words}


def check_names(spec: PrepareSpec, sources: Sequence[Source]) -> None:
    """Check that every column a spec names is in a source, and that no used column is in two.

    Raises:
        DataError: Naming the place in the spec, the column, and the columns there are.
    """
    available = {column for source in sources for column in source.columns}
    for use in uses(spec):
        exact = use.what in ("task", "split")
        if use.text not in available and (exact or not mentioned(use.text, available)):
            raise _unknown(use, sources)
    for number, join in enumerate(spec.joins, 1):
        left = [column for source in sources[:number] for column in source.columns]
        for key in join.on:
            if key not in sources[number].columns:
                raise _unknown(Use(f"join {join.source}", key), sources[number : number + 1])
            if key not in left:
                raise _unknown(Use(f"join {join.source}", key), sources[:number])
    _reject_ambiguous(spec, sources)


def _unknown(use: Use, sources: Sequence[Source]) -> DataError:
    near = get_close_matches(use.text, [column for source in sources for column in source.columns], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    have = "; ".join(f"{source.name} has {', '.join(source.columns)}" for source in sources)
    return DataError(f"{use.what}: no column {use.text!r}{hint} ({have})")


def _reject_ambiguous(spec: PrepareSpec, sources: Sequence[Source]) -> None:
    wanted = wanted_columns(spec, sources)
    owner: dict[str, str] = {}
    for number, source in enumerate(sources):
        keys = spec.joins[number - 1].on if number else ()
        for column in wanted.intersection(source.columns).difference(keys):
            if column in owner:
                raise DataError(
                    f"source {source.name}: column {column!r} is also in {owner[column]}; rename one of them"
                )
            owner[column] = source.name


def first_owners(tables: Sequence[Sequence[Column]]) -> dict[str, Column]:
    """Map names to columns; a join key belongs to the first table that has it."""
    owners: dict[str, Column] = {}
    for table in tables:
        for column in table:
            owners.setdefault(column.name, column)
    return owners


def expression_type(engine: Engine, column: Column) -> str:
    """Return the SQL type of a column in expressions: its own, or for csv the one that all its values fit."""
    if column.kind != "VARCHAR" or _first(engine, column, "true") is None:
        return column.kind
    return next((kind for kind in INFERRED if misfit(engine, column, kind) is None), "VARCHAR")


def misfit(engine: Engine, column: Column, kind: str) -> str | None:
    """Return a value of a csv column that does not fit an inferred type, or None."""
    return _first(engine, column, f"NOT ({INFERRED[kind]})")


def _first(engine: Engine, column: Column, condition: str) -> str | None:
    """Return a value that meets a condition on {0}, or None."""
    value = f"c{column.index}"
    where = f"{value} <> '' AND {condition.format(value)}"
    found = engine.rows(f"column {column.name}", f"SELECT {value} FROM {column.table} WHERE {where} LIMIT 1")
    return found[0][0] if found else None
