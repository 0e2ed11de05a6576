"""The table ``rows``: labels, order, keys and numbers of every source row, or the reason why it is left out."""

# ruff: noqa: S608 - see engine.py

import hashlib

from gmeta_api.errors import DataError
from gmeta_api.spec.feature import FeatureSpec
from gmeta_api.spec.prepare import LabelSpec, PrepareSpec
from gmeta_worker.metaio.prepare.engine import Engine, literal, mixed
from gmeta_worker.metaio.prepare.features import FLOAT32_MAX, categorical, is_number, multi, numeric
from gmeta_worker.metaio.prepare.joined import Joined, lists_table
from gmeta_worker.metaio.prepare.keys import key

SPLITS = ("train", "valid", "test")
NO_TASK, NO_LABEL, NO_SPLIT = "task is null", "label is null", "split is null"
PRIORS = ("rate", "count")
ROW = "rowid + 1"
"""SQL of the number of a row in the source, from 1, for messages."""
KINDS = {"categorical": ("categorical",), "multi": ("multi",), "numeric": ("numeric", *PRIORS)}
"""Columns of a dataset, and the types of features that become one."""


def of_kind(spec: PrepareSpec, kind: str) -> list[FeatureSpec]:
    """Return the features that become columns of a kind, in the manifest's order; column i of the tables is item i."""
    return [feature for feature in spec.features if feature.type in KINDS[kind]]


def build_rows(joined: Joined, spec: PrepareSpec) -> None:
    """Create the table ``rows``.

    Its columns: ``task_key``, ``task_value``, ``split`` (of a split by column), ``rank`` (null: never support),
    ``tie``, ``label_i``, ``categorical_i``, ``multi_i`` (a list or its number, see ``lists_apart``), ``numeric_i`` (not
    yet transformed) or, of a rate or count, ``prior_key_i``, ``row_hash``, ``unmatched_i``, and ``left_out``, which is
    null where the row is kept.

    Raises:
        DataError: An expression that does not fit the columns, or a value that its place does not take.
    """
    columns = {
        **_task(joined, spec),
        **{f"label_{number}": _label(joined, label) for number, label in enumerate(spec.labels)},
        **_split(joined, spec),
        "rank": _rank(joined, spec),
        "tie": _tie(spec.seed),
        "row_hash": f"hash({', '.join(joined.raw(name).sql for name in joined.of_source)})",
        **_features(joined, spec),
        **{f"unmatched_{number}": f"unmatched_{number}" for number in range(1, len(spec.joins) + 1)},
    }
    select = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
    joined.engine.run(
        "prepare", f"CREATE TABLE rows AS SELECT *, {_left_out(spec)} AS left_out FROM (SELECT {select} FROM joined)"
    )
    _check_labels(joined.engine, spec)
    _check_splits(joined.engine, spec)
    _check_times(joined.engine, spec)
    _check_numbers(joined.engine, spec)


def lists_apart(engine: Engine, spec: PrepareSpec) -> dict[int, str]:
    """Which ``multi_i`` are numbers of lists in a table of their own, and its name."""
    kinds = dict(engine.columns("rows", "SELECT * FROM rows"))
    return {
        number: lists_table(feature)
        for number, feature in enumerate(of_kind(spec, "multi"))
        if not kinds[f"multi_{number}"].endswith("[]")
    }


def _task(joined: Joined, spec: PrepareSpec) -> dict[str, str]:
    values = [joined.raw(column) for column in spec.task]
    if len(values) == 1:
        return {"task_key": key(values[0]), "task_value": f"CAST({values[0].sql} AS VARCHAR)"}
    known = " AND ".join(f"{value.sql} IS NOT NULL" for value in values)
    names = ", ".join(value.sql for value in values)
    return {
        "task_key": f"CASE WHEN {known} THEN stable_hash(concat_ws(chr(31), {names})) END",
        "task_value": f"concat_ws('|', {names})",
    }


def _label(joined: Joined, label: LabelSpec) -> str:
    what = f"label {label.name}"
    value = joined.expression(what, label.rule)
    if not is_number(value.kind):
        raise DataError(f"{what}: {label.rule!r} gives {value.kind}, expected true or false, 1 or 0, or null")
    return f"CAST({value.sql} AS DOUBLE)"


def _split(joined: Joined, spec: PrepareSpec) -> dict[str, str]:
    if spec.split.column is None:
        return {}
    return {"split": f"CAST({joined.raw(spec.split.column).sql} AS VARCHAR)"}


def _rank(joined: Joined, spec: PrepareSpec) -> str:
    order = spec.support_order
    if order.column is None:
        return "0"
    value = joined.expression("supportOrder", order.column)
    if order.by == "time" and not (is_number(value.kind) or value.kind.startswith(("DATE", "TIMESTAMP"))):
        raise DataError(f"supportOrder: {order.column!r} is {value.kind}, expected a number or a date")
    if not _is_ordered_outside(value.kind):
        return f"CASE WHEN {value.sql} IS NOT NULL THEN create_sort_key({value.sql}, 'ASC NULLS LAST') END"
    return value.sql


def _is_ordered_outside(kind: str) -> bool:
    """Whether values of an SQL type have an order outside of the engine too."""
    return is_number(kind) or (kind.startswith(("DATE", "TIMESTAMP", "VARCHAR")) and not kind.endswith("]"))


def _tie(seed: int) -> str:
    """A number for each row number below 2**32, no two of them equal, in an order that the seed shuffles."""
    salt = int.from_bytes(hashlib.md5(str(seed).encode(), usedforsecurity=False).digest()[:4], "little")
    return mixed(f"xor(CAST(row_number AS UBIGINT) & 4294967295, {salt})")


def _features(joined: Joined, spec: PrepareSpec) -> dict[str, str]:
    compute = {"categorical": categorical, "multi": multi, "numeric": numeric, **dict.fromkeys(PRIORS, categorical)}
    return {
        f"{'prior_key' if feature.type in PRIORS else kind}_{number}": compute[feature.type](joined, feature)
        for kind in KINDS
        for number, feature in enumerate(of_kind(spec, kind))
    }


def _left_out(spec: PrepareSpec) -> str:
    no_label = " AND ".join(f"label_{number} IS NULL" for number in range(len(spec.labels)))
    no_split = f"WHEN split IS NULL THEN {literal(NO_SPLIT)}" if spec.split.column is not None else ""
    return f"CASE WHEN task_key IS NULL THEN {literal(NO_TASK)} WHEN {no_label} THEN {literal(NO_LABEL)} {no_split} END"


def _check_labels(engine: Engine, spec: PrepareSpec) -> None:
    for number, label in enumerate(spec.labels):
        bad = engine.rows("label", f"SELECT label_{number}, {ROW} FROM rows WHERE label_{number} NOT IN (0, 1) LIMIT 1")
        if bad:
            raise DataError(
                f"label {label.name}: {label.rule!r} gives {bad[0][0]:g} in row {bad[0][1]}, expected true or false, "
                "1 or 0, or null; "
                "compare the column with a value, such as 'rating >= 4'"
            )


def _check_splits(engine: Engine, spec: PrepareSpec) -> None:
    if spec.split.column is None:
        return
    names = ", ".join(map(literal, SPLITS))
    bad = engine.rows("split", f"SELECT split FROM rows WHERE split NOT IN ({names}) LIMIT 1")
    if bad:
        raise DataError(
            f"split: column {spec.split.column!r} has {bad[0][0]!r}, expected train, valid, test, or nothing to leave "
            "the row out"
        )


def _check_times(engine: Engine, spec: PrepareSpec) -> None:
    if spec.support_order.by != "time":
        return
    ((missing,),) = engine.rows("time", "SELECT count(*) FROM rows WHERE left_out IS NULL AND rank IS NULL")
    if missing:
        raise DataError(
            f"supportOrder: {missing} rows have no time in {spec.support_order.column!r}; fill it, or order by column "
            "to keep such rows out of support sets"
        )


def _check_numbers(engine: Engine, spec: PrepareSpec) -> None:
    for number, feature in enumerate(of_kind(spec, "numeric")):
        if feature.type in PRIORS:
            continue
        value = f"numeric_{number}"
        bad = engine.rows("numeric", f"SELECT {value}, {ROW} FROM rows WHERE abs({value}) > {FLOAT32_MAX} LIMIT 1")
        if bad:
            raise DataError(
                f"feature {feature.name}: {bad[0][0]:g} in row {bad[0][1]} is not a finite 32-bit number; correct "
                "it or leave it empty"
            )
        if feature.transform == "log1p" and (
            low := engine.rows("numeric", f"SELECT {value}, {ROW} FROM rows WHERE {value} <= -1 LIMIT 1")
        ):
            raise DataError(
                f"feature {feature.name}: log1p needs values above -1, found {low[0][0]:g} in row {low[0][1]}; use "
                "transform standardize"
            )
