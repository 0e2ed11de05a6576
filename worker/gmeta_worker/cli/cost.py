"""The cost of a job on its dataset as a table: rows, memory and bytes a step, of each rank and of all."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
from rich.console import Group
from rich.table import Table

from gmeta_api.errors import ModelError
from gmeta_api.memory import DatasetFacts, Estimate, estimate, size
from gmeta_api.spec import Spec
from gmeta_worker.cli.layers import layer_table
from gmeta_worker.metaio import Dataset, Schema, StepBatch
from gmeta_worker.parallel import split
from gmeta_worker.training.run import open_reader

Row = tuple[str, str, str]


def cost_table(spec: Spec, dataset: Dataset) -> Group:
    """The sizes of the dataset, what a job costs on it, and how its layers adapt."""
    reader = open_reader(spec, dataset)
    with reader.epoch(0) as steps:
        first = next(steps)
    unique = unique_rows(dataset.schema, first, spec.workers.replicas * spec.workers.processes_per_worker)
    return Group(
        _table(f"Dataset {dataset.path}", ("quantity", "value"), _dataset_rows(dataset, reader.steps())),
        _table("Cost", ("quantity", "each rank", "all ranks"), _cost_rows(spec, dataset, unique)),
        _layers(spec, dataset, first),
    )


def _layers(spec: Spec, dataset: Dataset, first: StepBatch) -> Table | str:
    """A model class of the user's own may be in the image and not here."""
    try:
        return layer_table(spec, dataset, first)
    except ModelError as error:
        return f"how the layers adapt is not known here: {error}"


def unique_rows(schema: Schema, step: StepBatch, ranks: int) -> tuple[int, ...]:
    """Unique embedding rows of each rank's part of a step."""
    bounds = split(step.offsets, (1.0,) * ranks)
    return tuple(unique_keys(schema, step.slice(lo, hi)) for lo, hi in pairwise(bounds))


def unique_keys(schema: Schema, batch: StepBatch) -> int:
    """Distinct keys of a batch, counted by vocabulary."""
    keys: dict[str, list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]] = {}
    for column, feature in enumerate(schema.categorical):
        keys.setdefault(feature.vocabulary, []).append(batch.keys[:, column])
    for feature, ragged in zip(schema.multi, batch.multi, strict=True):
        keys.setdefault(feature.vocabulary, []).append(ragged.values)
    return sum(len(np.unique(np.concatenate(parts))) for parts in keys.values())


def _table(title: str, columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Table:
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    return table


def _dataset_rows(dataset: Dataset, steps: int) -> Iterator[tuple[str, str]]:
    for name, part in dataset.card.splits.items():
        yield f"{name} split", f"{part.rows:,} rows, {part.tasks:,} tasks, {size(part.bytes)}"
    yield "steps an epoch", f"{steps:,}"


def _cost_rows(spec: Spec, dataset: Dataset, unique: tuple[int, ...]) -> Iterator[Row]:
    schema = dataset.schema
    facts = DatasetFacts(
        vocabulary_sizes={name: card.size for name, card in dataset.card.vocabularies.items()},
        features=len(schema.categorical) + len(schema.multi),
        numeric=len(schema.numeric),
        labels=len(schema.labels),
        unique_rows=max(unique),
    )
    cost = estimate(spec, facts)
    yield from _memory_rows(cost)
    yield from _step_rows(cost, unique)


def _memory_rows(cost: Estimate) -> Iterator[Row]:
    total = sum(cost.table_rows.values())
    yield "embedding rows", f"{cost.rank_rows:,}", f"{total:,} ({_listed(cost.table_rows)})"
    yield "embedding memory", size(cost.rank_embedding_bytes), size(cost.embedding_bytes)
    if cost.dense_parameters is not None and cost.dense_bytes is not None and cost.rank_bytes is not None:
        yield "dense parameters", f"{cost.dense_parameters:,}", "the same"
        yield "dense memory", size(cost.dense_bytes), size(cost.dense_bytes * cost.ranks)
        yield "memory with a step's rows", size(cost.rank_bytes), size(cost.rank_bytes * cost.ranks)


def _step_rows(cost: Estimate, unique: tuple[int, ...]) -> Iterator[Row]:
    """The bytes of a step grow with the unique rows of its ranks; those were counted in the first step."""
    share = sum(unique) / max(unique)
    spread = f"{min(unique):,} to {max(unique):,}" if len(set(unique)) > 1 else f"{max(unique):,}"
    yield "unique rows, first step", spread, f"{sum(unique):,}"
    yield "lookup and update, a step", size(cost.lookup_bytes), size(cost.lookup_bytes * share)
    yield "of it AlltoAll", size(cost.all_to_all_bytes), size(cost.all_to_all_bytes * share)
    if cost.all_reduce_bytes is not None:
        yield "AllReduce, a step", size(cost.all_reduce_bytes), size(cost.all_reduce_bytes * cost.ranks)


def _listed(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in rows.items())
