"""What is known of a job's memory from its manifest alone; the rest depends on the dataset."""

from collections.abc import Iterator

from gmeta_api.memory import DatasetFacts, Estimate, estimate, row_bytes, size
from gmeta_api.spec import PrepareSpec, Spec

KEYED = ("categorical", "multi")


def cost_lines(spec: Spec) -> Iterator[str]:
    """Memory of each rank and of all, as far as the manifest tells."""
    prepare = spec.data.prepare
    if prepare is None:
        yield "the manifest does not describe the dataset; where its files are,"
        yield "`gmeta plan MANIFEST --volume NAME=FOLDER` prints rows, memory and bytes a step"
        return
    cost = estimate(spec, facts(prepare))
    exact = [name for name in vocabularies(prepare) if not _hashed(spec, name)]
    if exact:
        row = f"{row_bytes(spec):,} bytes a row with optimiser state"
        yield f"embeddings: {row}; how many rows is known once the dataset is made"
    else:
        yield f"embeddings: {size(cost.rank_embedding_bytes)} each rank, {size(cost.embedding_bytes)} in all"
    yield from _dense_lines(cost)
    yield "not counted: the rows of a step, the input that is read ahead, and torch itself"


def facts(prepare: PrepareSpec) -> DatasetFacts:
    """What the manifest tells of a dataset; no key is known, so that exact vocabularies count as empty."""
    numeric = [feature for feature in prepare.features if feature.type not in KEYED]
    return DatasetFacts(
        vocabulary_sizes=dict.fromkeys(vocabularies(prepare), 0),
        features=len(prepare.features) - len(numeric),
        numeric=len(numeric),
        labels=len(prepare.labels),
        unique_rows=0,
    )


def vocabularies(prepare: PrepareSpec) -> list[str]:
    """The vocabularies of a dataset, each named after the feature that owns it."""
    owned = (feature.vocabulary or feature.name for feature in prepare.features if feature.type in KEYED)
    return list(dict.fromkeys(owned))


def _hashed(spec: Spec, name: str) -> bool:
    chosen = {vocabulary.name: vocabulary.rows for vocabulary in spec.model.vocabularies}
    return chosen.get(name, spec.model.vocabulary.rows) is not None


def _dense_lines(cost: Estimate) -> Iterator[str]:
    if cost.dense_parameters is not None and cost.dense_bytes is not None:
        yield f"dense layers: {cost.dense_parameters:,} parameters, {size(cost.dense_bytes)} each rank"
