"""Statistics of the train split: transforms of numeric features, and vocabularies."""

# ruff: noqa: S608 - see engine.py

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from gmeta_api.spec.feature import FeatureSpec
from gmeta_api.spec.prepare import PrepareSpec
from gmeta_worker.metaio.card import NumericCard, VocabularyCard
from gmeta_worker.metaio.dataset import VOCABULARY_SCHEMA
from gmeta_worker.metaio.files import write_table
from gmeta_worker.metaio.prepare.engine import Engine
from gmeta_worker.metaio.prepare.rows import of_kind


def numeric_cards(engine: Engine, spec: PrepareSpec) -> dict[str, NumericCard]:
    """Compute mean and deviation of each numeric column over the train rows, and count missing values in all rows."""
    features = of_kind(spec, "numeric")
    if not features:
        return {}
    moments = ", ".join(_moments(f"numeric_{number}", feature.transform) for number, feature in enumerate(features))
    (figures,) = engine.rows("statistics", f"SELECT {moments} FROM featured")
    return {
        feature.name: _numeric_card(feature.transform, *figures[3 * number : 3 * number + 3])
        for number, feature in enumerate(features)
    }


def transformed(column: str, card: NumericCard) -> str:
    """Return SQL of a numeric feature's value in the dataset: never null, a missing value becomes the train mean."""
    value = f"coalesce({_raw_transform(column, card.transform)}, {card.mean!r})"
    return f"({value} - {card.mean!r}) / {card.std!r}" if card.transform == "standardize" else value


def vocabulary_keys(spec: PrepareSpec, apart: Mapping[int, str]) -> dict[str, list[str]]:
    """Map vocabularies to SQL selects of all their keys in ``placed``, one for each feature that shares them.

    Args:
        spec: What is prepared.
        apart: Multi-valued columns whose lists are in a table of their own.
    """
    selects: dict[str, list[str]] = {}
    for number, feature in enumerate(of_kind(spec, "categorical")):
        selects.setdefault(vocabulary_of(feature), []).append(f"categorical_{number} AS key FROM placed")
    for number, feature in enumerate(of_kind(spec, "multi")):
        lists = f"placed JOIN {apart[number]} ON number = multi_{number}" if number in apart else "placed"
        keys = "keys" if number in apart else f"multi_{number}"
        selects.setdefault(vocabulary_of(feature), []).append(f"unnest({keys}) AS key FROM {lists}")
    return selects


def vocabulary_of(feature: FeatureSpec) -> str:
    """Name the vocabulary of a categorical or multi-valued feature."""
    return feature.vocabulary or feature.name


def write_vocabularies(
    engine: Engine, spec: PrepareSpec, apart: Mapping[int, str], out: Path
) -> Iterator[tuple[str, VocabularyCard]]:
    """Write each vocabulary's distinct train keys and their counts, ascending, and yield its card."""
    for name, selects in vocabulary_keys(spec, apart).items():
        keys = " UNION ALL ".join(f"SELECT {select} WHERE split = 'train'" for select in selects)
        table = engine.table(
            f"vocabulary {name}", f"SELECT key, count(*) AS count FROM ({keys}) GROUP BY key ORDER BY key"
        )
        batch = pa.record_batch([column.combine_chunks() for column in table.columns], schema=VOCABULARY_SCHEMA)
        file = write_table(out, f"vocabulary/{name}.arrow", batch)
        yield name, VocabularyCard(size=table.num_rows, file=file)


def _moments(column: str, transform: str) -> str:
    value = _raw_transform(column, transform)
    return f"""avg({value}) FILTER (WHERE split = 'train'), stddev_pop({value}) FILTER (WHERE split = 'train'),
               count(*) FILTER (WHERE {column} IS NULL)"""


def _numeric_card(transform: str, mean: float | None, std: float | None, missing: int) -> NumericCard:
    """Round off the last digits: the engine's threads add in any order, and the dataset must not depend on it."""
    mean, std = mean or 0.0, std or 0.0
    return NumericCard(transform, _rounded(mean, max(abs(mean), std)), _rounded(std, std) or 1.0, missing)


def _raw_transform(column: str, transform: str) -> str:
    return f"ln(1 + {column})" if transform == "log1p" else column


def _rounded(value: float, size: float) -> float:
    """Keep the digits that are among the first ten of ``size``: a mean near 0 is no more exact than its addends."""
    return round(value, 9 - math.floor(math.log10(size))) + 0.0 if size else value  # + 0.0 makes -0.0 one with 0.0
