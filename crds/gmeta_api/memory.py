"""What a job costs: rows, memory and bytes a step, as pure formulas over its spec and its dataset.

Symbols as in arXiv 2401.04338: N ranks, U unique embedding rows of a rank's part of a step, D the embedding width,
K dense parameters. Numbers are 4 bytes (float32), keys 8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from gmeta_api.spec import ModelSpec, Spec

FLOAT_BYTES = 4
ID_BYTES = 8

UNSEEN_ROWS = 1
"""Rows of an exact vocabulary for keys that training has not seen."""


@dataclass(frozen=True)
class DatasetFacts:
    """What the cost of a job depends on in its dataset.

    Attributes:
        vocabulary_sizes: distinct keys of the training data, by vocabulary.
        features: number of categorical and multi-valued features.
        numeric: number of numeric columns.
        labels: number of labels.
        unique_rows: U, unique embedding rows of a rank's part of a step, of the rank that has most.
    """

    vocabulary_sizes: Mapping[str, int]
    features: int
    numeric: int
    labels: int
    unique_rows: int


@dataclass(frozen=True)
class Estimate:
    """What a job costs.

    Attributes:
        ranks: N.
        table_rows: rows of every embedding table.
        embedding_bytes: weights and optimiser state of all rows, over all ranks.
        dense_parameters: K; None for a class of the user's own.
        dense_bytes: weights, gradients and optimiser state of the dense layers on every rank; None likewise.
        lookup_bytes: ids, rows and row gradients of one rank's part of a step, wherever the rows live.
        all_to_all_bytes: what a rank exchanges of them with others, as it travels.
        all_reduce_bytes: dense gradients that a rank sends in a ring AllReduce; None likewise.
    """

    ranks: int
    table_rows: Mapping[str, int]
    embedding_bytes: int
    dense_parameters: int | None
    dense_bytes: int | None
    lookup_bytes: int
    all_to_all_bytes: int
    all_reduce_bytes: int | None

    @property
    def rank_rows(self) -> int:
        """Embedding rows that a rank owns; owners of equally many blocks differ by a few per cent."""
        return -(-sum(self.table_rows.values()) // self.ranks)

    @property
    def rank_embedding_bytes(self) -> int:
        """Memory of the rows that a rank owns."""
        return -(-self.embedding_bytes // self.ranks)

    @property
    def rank_bytes(self) -> int | None:
        """Memory of what a rank holds over a step: its rows, the dense layers, and the rows that it has looked up."""
        return None if self.dense_bytes is None else self.rank_embedding_bytes + self.dense_bytes + self.lookup_bytes


def estimate(spec: Spec, facts: DatasetFacts) -> Estimate:
    """The cost of a job on its dataset."""
    ranks = spec.workers.replicas * spec.workers.processes_per_worker
    tables = table_rows(spec.model, facts.vocabulary_sizes)
    dense = dlrm_parameters(spec.model, facts) if spec.model.type == "DLRM" else None
    lookup = lookup_bytes(facts.unique_rows, spec.model.embedding_dim)
    return Estimate(
        ranks=ranks,
        table_rows=tables,
        embedding_bytes=sum(tables.values()) * row_bytes(spec),
        dense_parameters=dense,
        dense_bytes=None if dense is None else dense * dense_parameter_bytes(spec),
        lookup_bytes=lookup,
        all_to_all_bytes=exchange_bytes(spec, facts.unique_rows) * (ranks - 1) // ranks,
        all_reduce_bytes=None if dense is None else 2 * FLOAT_BYTES * dense * (ranks - 1) // ranks,
    )


def table_rows(model: ModelSpec, vocabulary_sizes: Mapping[str, int]) -> dict[str, int]:
    """Rows of every embedding table: as set for a hash vocabulary, one for each key and one more for an exact one."""
    chosen = {vocabulary.name: vocabulary for vocabulary in model.vocabularies}
    hashed = {name: chosen.get(name, model.vocabulary).rows for name in vocabulary_sizes}
    return {name: hashed[name] or size + UNSEEN_ROWS for name, size in vocabulary_sizes.items()}


def row_bytes(spec: Spec) -> int:
    """Bytes of an embedding row with its optimiser state: Adam has two moments a number and a step count a row."""
    dim = spec.model.embedding_dim
    state = {"RowWiseAdagrad": 1, "Adam": 2 * dim + 1, "SGD": 0}[spec.optimizer.sparse.type]
    return FLOAT_BYTES * (dim + state)


def dense_parameter_bytes(spec: Spec) -> int:
    """Bytes of a dense parameter: weight, gradient and optimiser state."""
    state = {"Adam": 2, "AdamW": 2, "Adagrad": 1, "SGD": 0}[spec.optimizer.dense.type]
    return FLOAT_BYTES * (2 + state)


def dlrm_parameters(model: ModelSpec, facts: DatasetFacts) -> int:
    """Dense parameters of a DLRM (arXiv 1906.00091): bottom MLP, dots of all pairs of vectors, top MLP; with biases."""
    dim = model.embedding_dim
    vectors = facts.features + (1 if facts.numeric else 0)
    interactions = vectors * (vectors - 1) // 2 + (dim if facts.numeric else 0)
    bottom = (facts.numeric, *model.bottom, dim) if facts.numeric else ()
    return mlp_parameters(bottom) + mlp_parameters((interactions, *model.top, facts.labels))


def mlp_parameters(sizes: tuple[int, ...]) -> int:
    """Weights and biases of linear layers between these sizes."""
    return sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes))


def lookup_bytes(unique_rows: int, dim: int) -> int:
    """Bytes that a lookup and its update move: 8 U of ids, 4 D U of rows, 4 D U of row gradients."""
    return unique_rows * (ID_BYTES + 2 * FLOAT_BYTES * dim)


def exchange_bytes(spec: Spec, unique_rows: int) -> int:
    """Bytes that a lookup and its update send: as `lookup_bytes`, with numbers as they travel between ranks."""
    return unique_rows * (ID_BYTES + 2 * wire_bytes(spec) * spec.model.embedding_dim)


def wire_bytes(spec: Spec) -> int:
    """Bytes of a row's number on its way between ranks."""
    return {"float32": FLOAT_BYTES, "bfloat16": FLOAT_BYTES // 2}[spec.parallelism.exchange_precision]


def size(count: float) -> str:
    """Bytes for people: `1.5 MiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
