"""Statistics of the train split: transforms of numeric features, and vocabularies."""

# ruff: noqa: S608 - see engine.py

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from gmeta_api.spec.prepare import FeatureSpec, PrepareSpec
from gmeta_worker.metaio.card import NumericCard, VocabularyCard
from gmeta_worker.metaio.dataset import VOCABULARY_SCHEMA
from gmeta_worker.metaio.files import write_table
from gmeta_worker.metaio.prepare.engine import Engine
from gmeta_worker.metaio.prepare.rows import of_type


def numeric_cards(engine: Engine, spec: PrepareSpec) -> dict[str, NumericCard]:
    """Compute mean and deviation of each numeric feature over the train rows, and count missing values in all rows."""
    return {
        feature.name: _numeric_card(engine, feature, f"numeric_{number}")
        for number, feature in enumerate(of_type(spec, "numeric"))
    }


def transformed(column: str, card: NumericCard) -> str:
    """Return SQL of a numeric feature's value in the dataset: never null, a missing value becomes the train mean."""
    value = f"coalesce({_raw_transform(column, card.transform)}, {card.mean!r})"
    return f"({value} - {card.mean!r}) / {card.std!r}" if card.transform == "standardize" else value


def vocabulary_names(spec: PrepareSpec) -> dict[str, list[str]]:
    """Map vocabularies to SQL selects of all their keys in ``placed``, one for each feature that shares them."""
    selects: dict[str, list[str]] = {}
    for number, feature in enumerate(of_type(spec, "categorical")):
        selects.setdefault(vocabulary_of(feature), []).append(f"categorical_{number}")
    for number, feature in enumerate(of_type(spec, "multi")):
        selects.setdefault(vocabulary_of(feature), []).append(f"unnest(multi_{number})")
    return selects


def vocabulary_of(feature: FeatureSpec) -> str:
    """Name the vocabulary of a categorical or multi-valued feature."""
    return feature.vocabulary or feature.name


def write_vocabularies(engine: Engine, spec: PrepareSpec, out: Path) -> Iterator[tuple[str, VocabularyCard]]:
    """Write each vocabulary's distinct train keys and their counts, ascending, and yield its card."""
    for name, columns in vocabulary_names(spec).items():
        keys = " UNION ALL ".join(f"SELECT {column} AS key FROM placed WHERE split = 'train'" for column in columns)
        table = engine.table(
            f"vocabulary {name}", f"SELECT key, count(*) AS count FROM ({keys}) GROUP BY key ORDER BY key"
        )
        batch = pa.record_batch([column.combine_chunks() for column in table.columns], schema=VOCABULARY_SCHEMA)
        file = write_table(out, f"vocabulary/{name}.arrow", batch)
        yield name, VocabularyCard(size=table.num_rows, file=file)


def _numeric_card(engine: Engine, feature: FeatureSpec, column: str) -> NumericCard:
    value = _raw_transform(column, feature.transform)
    ((mean, std, missing),) = engine.rows(
        f"feature {feature.name}",
        f"""SELECT avg({value}) FILTER (WHERE split = 'train'), stddev_pop({value}) FILTER (WHERE split = 'train'),
                   count(*) FILTER (WHERE {column} IS NULL) FROM placed""",
    )
    return NumericCard(feature.transform, _stable(mean or 0.0), _stable(std or 0.0) or 1.0, missing)


def _raw_transform(column: str, transform: str) -> str:
    return f"ln(1 + {column})" if transform == "log1p" else column


def _stable(value: float) -> float:
    """Round off the last digits: the engine's threads add in any order, and the dataset must not depend on it."""
    return float(f"{value:.10g}")
