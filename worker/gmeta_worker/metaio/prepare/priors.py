"""Priors: rates and counts of a column's values over the train split, out of fold for the train split's own rows.

The train tasks are dealt to folds in the order of their shuffle. A train row gets the statistic of the tasks of the
other folds, any other row that of all train tasks, so that no row's own label, nor its task's, enters its value.
"""

# ruff: noqa: S608 - see engine.py

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from gmeta_api.spec.feature import DEFAULT_FOLDS, DEFAULT_SHRINKAGE, FeatureSpec
from gmeta_api.spec.prepare import PrepareSpec
from gmeta_worker.metaio.card import PriorCard
from gmeta_worker.metaio.files import write_table
from gmeta_worker.metaio.prepare.engine import Engine
from gmeta_worker.metaio.prepare.rows import PRIORS, of_kind
from gmeta_worker.metaio.prior import PRIOR_SCHEMA

NO_FOLD = -1
"""The fold of rows of other splits: no train task is in it, so nothing is held out."""


def compute_priors(engine: Engine, spec: PrepareSpec) -> None:
    """Create a table ``prior_i`` for each rate or count, and ``featured``: ``placed`` with all its numeric columns.

    ``prior_i`` has, for each key and each fold that may ask for it, the statistics of the train tasks outside that
    fold: ``rows`` and ``positives`` with the key, and the feature's ``value``.
    """
    columns, joins = "", ""
    for number, feature in _priors(spec):
        prior, what = f"prior_{number}", f"feature {feature.name}"
        engine.run(what, f"CREATE TABLE {prior}_parts AS {_parts(spec, number, feature)}")
        engine.run(what, f"CREATE TABLE {prior} AS SELECT *, {_value(feature)} AS value FROM ({_outside(prior)})")
        columns += f", coalesce({prior}.value, 0) AS numeric_{number}"
        joins += (
            f" LEFT JOIN {prior} ON {prior}.key = placed.prior_key_{number}"
            f" AND {prior}.fold = CASE WHEN placed.split = 'train' THEN {_fold(feature)} ELSE {NO_FOLD} END"
        )
    engine.run("features", f"CREATE VIEW featured AS SELECT placed.*{columns} FROM placed{joins}")


def write_priors(engine: Engine, spec: PrepareSpec, out: Path) -> Iterator[tuple[str, PriorCard]]:
    """Write what all train tasks together say of each key, ascending, and yield each prior's card."""
    for number, feature in _priors(spec):
        table = engine.table(
            f"feature {feature.name}",
            f"SELECT key, rows, positives, value FROM prior_{number} WHERE fold = {NO_FOLD} ORDER BY key",
        )
        batch = pa.record_batch([column.combine_chunks() for column in table.columns], schema=PRIOR_SCHEMA)
        yield (
            feature.name,
            PriorCard(
                type=feature.type,
                label=spec.labels[_label(spec, feature)].name,
                folds=_folds(feature),
                shrinkage=_shrinkage(feature) if feature.type == "rate" else None,
                keys=table.num_rows,
                rows=_total(batch, "rows"),
                positives=_total(batch, "positives"),
                file=write_table(out, f"priors/{feature.name}.arrow", batch),
            ),
        )


def _priors(spec: PrepareSpec) -> list[tuple[int, FeatureSpec]]:
    return [(number, feature) for number, feature in enumerate(of_kind(spec, "numeric")) if feature.type in PRIORS]


def _parts(spec: PrepareSpec, number: int, feature: FeatureSpec) -> str:
    """SELECT rows (of a rate, those that have its label) and positives of each key in each fold of the train tasks."""
    label = f"label_{_label(spec, feature)}"
    rows = f"count({label})" if feature.type == "rate" else "count(*)"
    return f"""SELECT prior_key_{number} AS key, {_fold(feature)} AS fold, {rows} AS rows,
                      count(*) FILTER (WHERE {label} = 1) AS positives
               FROM placed WHERE split = 'train' GROUP BY ALL"""


def _outside(prior: str) -> str:
    """SELECT the statistics outside each fold, of a key (rows, positives) and of all rows (all_rows, all_positives)."""
    sums = "CAST(sum(rows) AS BIGINT) AS rows, CAST(sum(positives) AS BIGINT) AS positives"
    return f"""
        WITH keys AS (SELECT key, {sums} FROM {prior}_parts GROUP BY key),
             folds AS (SELECT fold, {sums} FROM {prior}_parts GROUP BY fold),
             whole AS (SELECT {sums} FROM {prior}_parts),
             held AS (SELECT key, fold, parts.rows, parts.positives, folds.rows AS all_rows,
                             folds.positives AS all_positives FROM {prior}_parts AS parts JOIN folds USING (fold)
                      UNION ALL SELECT key, {NO_FOLD}, 0, 0, 0, 0 FROM keys)
        SELECT key, fold, keys.rows - held.rows AS rows, keys.positives - held.positives AS positives,
               whole.rows - all_rows AS all_rows, whole.positives - all_positives AS all_positives
        FROM held JOIN keys USING (key) CROSS JOIN whole"""


def _value(feature: FeatureSpec) -> str:
    return _log_odds(_shrinkage(feature)) if feature.type == "rate" else _log_count(_folds(feature))


def _log_odds(shrinkage: float) -> str:
    """SQL of the log odds of a key's shrunk rate less those of the rate r of all rows.

    That is ln((p + s r) / (n + s (1 - r))) - ln(r / (1 - r)) of p positives and n negatives, written so that it is
    exactly 0 for a key without rows. Where all rows have the same label, so has every key, and there is nothing to say.
    """
    return f"""CASE WHEN all_positives BETWEEN 1 AND all_rows - 1 THEN ln(
                   (positives * (all_rows / all_positives) + {shrinkage!r})
                   / ((rows - positives) * (all_rows / (all_rows - all_positives)) + {shrinkage!r})) ELSE 0 END"""


def _log_count(folds: int) -> str:
    """SQL of ln(1 + rows), where the rows outside a fold are scaled to those of as many folds as there are."""
    return f"ln(1 + rows * CASE WHEN fold = {NO_FOLD} THEN 1 ELSE {folds / (folds - 1)!r} END)"


def _fold(feature: FeatureSpec) -> str:
    return f"(placed.position % {_folds(feature)})"


def _folds(feature: FeatureSpec) -> int:
    return feature.folds or DEFAULT_FOLDS


def _shrinkage(feature: FeatureSpec) -> float:
    return feature.shrinkage or DEFAULT_SHRINKAGE


def _label(spec: PrepareSpec, feature: FeatureSpec) -> int:
    """Place of the feature's label; a count, which has none, is kept beside the positives of the first."""
    return next((number for number, label in enumerate(spec.labels) if label.name == feature.label), 0)


def _total(batch: pa.RecordBatch, column: str) -> int:
    return int(batch.column(column).to_numpy().sum())
