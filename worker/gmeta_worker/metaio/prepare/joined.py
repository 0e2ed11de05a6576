"""The joined source: every source staged in the engine, and the view ``joined`` over them that all later SQL reads."""

# ruff: noqa: S608 - see engine.py

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from gmeta_api.errors import DataError
from gmeta_api.spec.feature import FeatureSpec
from gmeta_api.spec.prepare import PrepareSpec
from gmeta_worker.metaio.prepare.columns import (
    check_names,
    expression_type,
    first_owners,
    mentioned,
    misfit,
    uses,
    wanted_columns,
)
from gmeta_worker.metaio.prepare.engine import Engine, quoted
from gmeta_worker.metaio.prepare.keys import Value, feature_keys
from gmeta_worker.metaio.prepare.sources import Column, Source, stage

NO_LIST = -1
"""Number of the list of a row without a partner in the side table."""


@dataclass(frozen=True)
class Joined:
    """The view ``joined``.

    It has every used column twice: as the file has it, under ``Column.sql`` in quotes, and, where an expression
    mentions it, under its own name with a type. A row also has ``row_number``, its place in the source,
    ``unmatched_i``, whether join i found no partner, and the keys of features that are columns of one side table,
    which are computed once for each row of that table. Of a multi-valued one it has the ``number`` of the list in the
    feature's table of lists, so that what is sorted later is narrow.

    Attributes:
        engine: Where the view is.
        rows: Rows of the source.
        owners: The used columns by name.
        side_keys: Features whose keys are columns of the view, under ``side_key_name``, or in ``lists_table``.
    """

    engine: Engine
    rows: int
    owners: Mapping[str, Column]
    side_keys: frozenset[str]

    def raw(self, name: str) -> Value:
        """Return a column as the file has it."""
        column = self.owners[name]
        return Value(_raw_name(column), column.kind)

    @property
    def of_source(self) -> list[str]:
        """The used columns of the source itself; two rows that are equal in them are equal in all."""
        return [name for name, column in self.owners.items() if column.table == "source_0"]

    def expression(self, what: str, text: str) -> Value:
        """Return an SQL expression over typed columns.

        Raises:
            DataError: Not an expression, or one that does not fit the columns.
        """
        if not self.engine.is_expression(text):
            raise DataError(f"{what}: {text!r} is not an SQL expression")
        try:
            ((_, kind),) = self.engine.columns(f"{what}: {text!r}", f"SELECT (\n{text}\n) AS value FROM joined")
        except DataError as error:
            raise DataError(f"{error}{self._texts_among_numbers(text)}") from None
        return Value(f"(\n{text}\n)", kind)

    def value(self, what: str, text: str) -> Value:
        """Return the column named ``text`` if there is one, else the expression."""
        return self.raw(text) if text in self.owners else self.expression(what, text)

    def _texts_among_numbers(self, text: str) -> str:
        """Say which columns of a csv source an expression meets as text, and a value because of which."""
        hint = ""
        for name in sorted(mentioned(text, set(self.owners))):
            column = self.owners[name]
            if column.kind == "VARCHAR" and (value := misfit(self.engine, column, "DOUBLE")) is not None:
                hint += f"; column {name!r} is text, for {value!r} is no number"
        return hint


def join_sources(engine: Engine, spec: PrepareSpec, sources: Sequence[Source]) -> Joined:
    """Stage the sources and create the view ``joined``.

    Args:
        engine: Where to.
        spec: What is used of them.
        sources: The source and the side tables, in the order of the joins.

    Raises:
        DataError: Unknown column, damaged file, empty source, or a side table whose key is not unique.
    """
    check_names(spec, sources)
    wanted = wanted_columns(spec, sources)
    tables = [stage(engine, source, f"source_{number}", wanted) for number, source in enumerate(sources)]
    ((rows,),) = engine.rows("source", "SELECT count(*) FROM source_0")
    if rows == 0:
        raise DataError(f"source {spec.source}: no rows; expected at least one below the header")
    for number in range(1, len(tables)):
        _check_unique_key(engine, spec, number, tables[number])
    owners = first_owners(tables)
    side_features = _side_features(spec, owners)
    _create_lists(engine, owners, side_features)
    select = _select(engine, spec, owners, side_features)
    engine.run("joins", f"CREATE VIEW joined AS {select} FROM {_from(spec, tables, owners, side_features)}")
    return Joined(engine, rows, owners, frozenset(feature.name for feature in chain(*side_features.values())))


def side_key_name(feature: FeatureSpec) -> str:
    """Name the view's column of a feature's keys, quoted."""
    return quoted(f"feature {feature.name}")


def lists_table(feature: FeatureSpec) -> str:
    """Name the table of a multi-valued feature's lists, (number, keys), quoted; it has an empty one, ``NO_LIST``."""
    return quoted(f"lists {feature.name}")


def _side_features(spec: PrepareSpec, owners: Mapping[str, Column]) -> dict[str, list[FeatureSpec]]:
    """Find the features made of keys that are columns of one side table, by table."""
    found: dict[str, list[FeatureSpec]] = {f"source_{number}": [] for number in range(1, len(spec.joins) + 1)}
    for feature in spec.features:
        tables = {owners[column].table if column in owners else "" for column in feature.columns}
        if feature.type != "numeric" and len(tables) == 1 and (table := tables.pop()) in found:
            found[table].append(feature)
    return found


def _create_lists(
    engine: Engine, owners: Mapping[str, Column], side_features: Mapping[str, Sequence[FeatureSpec]]
) -> None:
    for table, features in side_features.items():
        for feature in filter(_is_multi, features):
            lists = f"SELECT rowid AS number, coalesce({_side_keys(feature, owners)}, []) AS keys FROM {table}"
            engine.run(
                f"feature {feature.name}",
                f"CREATE TABLE {lists_table(feature)} AS {lists} UNION ALL SELECT {NO_LIST}, []",
            )


def _check_unique_key(engine: Engine, spec: PrepareSpec, number: int, table: Sequence[Column]) -> None:
    join = spec.joins[number - 1]
    keys = [column for column in table if column.name in join.on]
    names = ", ".join(column.sql for column in keys)
    known = " AND ".join(f"{column.sql} IS NOT NULL" for column in keys)
    what = f"join {join.source}"
    found = engine.rows(
        what, f"SELECT {names} FROM source_{number} WHERE {known} GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
    )
    if found:
        raise DataError(
            f"{what}: the key {', '.join(join.on)} is not unique: {', '.join(map(str, found[0]))} occurs more than "
            "once; remove the duplicate rows or join on more columns"
        )


def _select(
    engine: Engine, spec: PrepareSpec, owners: Mapping[str, Column], side_features: Mapping[str, Sequence[FeatureSpec]]
) -> str:
    raw = [f"{_non_empty(column)} AS {_raw_name(column)}" for column in owners.values()]
    typed = [
        f"CAST({_non_empty(owners[name])} AS {expression_type(engine, owners[name])}) AS {quoted(name)}"
        for name in sorted(_in_expressions(spec, set(owners)))
    ]
    sides = [f"{table}.row IS NULL AS unmatched_{number}" for number, table in enumerate(side_features, 1)]
    sides += [_side_column(table, each) for table, features in side_features.items() for each in features]
    return "SELECT " + ", ".join(["source_0.rowid AS row_number", *raw, *typed, *sides])


def _in_expressions(spec: PrepareSpec, names: set[str]) -> set[str]:
    """Name the columns that need a type: labels and support order are expressions even where they are one column."""
    expressions = [
        use.text for use in uses(spec) if use.text not in names or use.what.startswith(("label ", "supportOrder"))
    ]
    return {name for text in expressions for name in mentioned(text, names)}


def _from(
    spec: PrepareSpec,
    tables: Sequence[Sequence[Column]],
    owners: Mapping[str, Column],
    side_features: Mapping[str, Sequence[FeatureSpec]],
) -> str:
    joined = "source_0"
    for number, (join, (table, features)) in enumerate(zip(spec.joins, side_features.items(), strict=True), 1):
        left, right = first_owners(tables[:number]), first_owners(tables[number : number + 1])
        on = " AND ".join(_equal(left[key], right[key]) for key in join.on)
        keys = [f"{_side_keys(each, owners)} AS {side_key_name(each)}" for each in features if not _is_multi(each)]
        joined += f" LEFT JOIN (SELECT {', '.join(['rowid AS row', '*', *keys])} FROM {table}) AS {table} ON {on}"
    return joined


def _side_column(table: str, feature: FeatureSpec) -> str:
    number = f"coalesce({table}.row, {NO_LIST}) AS {side_key_name(feature)}"
    return number if _is_multi(feature) else f"{table}.{side_key_name(feature)}"


def _is_multi(feature: FeatureSpec) -> bool:
    return feature.type == "multi"


def _side_keys(feature: FeatureSpec, owners: Mapping[str, Column]) -> str:
    columns = [owners[column] for column in feature.columns]
    return feature_keys(feature, [Value(column.sql, column.kind) for column in columns])


def _equal(left: Column, right: Column) -> str:
    """Compare join keys; a text and a number by their text, as one of them may come from csv."""
    if left.kind == right.kind:
        return f"{left.sql} = {right.sql}"
    return f"CAST({left.sql} AS VARCHAR) = CAST({right.sql} AS VARCHAR)"


def _non_empty(column: Column) -> str:
    return f"nullif({column.sql}, '')" if column.kind == "VARCHAR" else column.sql


def _raw_name(column: Column) -> str:
    return quoted(column.sql)
