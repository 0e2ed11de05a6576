"""The parts of a run that a manifest and a dataset (or a commit) determine: vocabularies, rows, model, algorithm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gmeta_api.errors import ModelError
from gmeta_api.spec import ModelSpec, Spec
from gmeta_worker.embedding import (
    BlockLayout,
    ExactVocabulary,
    HashVocabulary,
    RowStore,
    Vocabulary,
    build_row_optimizer,
)
from gmeta_worker.meta import Algorithm, build_algorithm
from gmeta_worker.metaio import Schema
from gmeta_worker.models import ModelInputs, build_model
from gmeta_worker.parallel import ALONE, Group, RowExchange
from gmeta_worker.training.inputs import InputAssembler
from gmeta_worker.training.placement import NOTHING_KNOWN, Demand, expected_loads, place

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Components:
    """Everything a step and an evaluation compute with.

    Attributes:
        schema: columns of the dataset.
        keys: the keys of the exact vocabularies, in row order; with them a commit stands alone.
        vocabularies: key-to-row mapping of each table.
        store: the rows that this rank owns, of all tables.
        group: the ranks that train together.
        exchange: how rows get from their owners to who needs them.
        model: the dense part.
        algorithms: how both learn, by the names that the phases of the run use.
        delivered: name of the last phase's, by which the model is evaluated.
        assembler: makes inputs of step batches.
        forward_type: what the forward passes of training compute in; None for the weights' own type.
    """

    schema: Schema
    keys: Mapping[str, Ints]
    vocabularies: Mapping[str, Vocabulary]
    store: RowStore
    group: Group
    exchange: RowExchange
    model: nn.Module
    algorithms: Mapping[str, Algorithm]
    delivered: str
    assembler: InputAssembler
    forward_type: torch.dtype | None

    @property
    def algorithm(self) -> Algorithm:
        """The one that evaluation goes by."""
        return self.algorithms[self.delivered]


def build_components(
    spec: Spec,
    schema: Schema,
    keys: Mapping[str, Ints],
    device: torch.device,
    group: Group = ALONE,
    demand: Demand = NOTHING_KNOWN,
) -> Components:
    """Build the parts for a job on one of its ranks: its own range of blocks, and a replica of the model.

    Args:
        spec: the job's spec.
        schema: the dataset's columns.
        keys: the known keys of each vocabulary (train rows), sorted.
        device: where model and rows live.
        group: the ranks that train together.
        demand: how often training uses each key; the ranks share out the rows so that they are asked alike.

    Raises:
        ModelError: the model cannot be built, or the device is not there.
    """
    vocabularies = {name: _vocabulary(spec.model, name, known) for name, known in keys.items()}
    tables = {name: vocabulary.rows for name, vocabulary in vocabularies.items()}
    seed = spec.training.seed
    layout = BlockLayout(tables)
    ranges = place(expected_loads(layout, vocabularies, demand), group.size)
    store = RowStore(
        tables,
        spec.model.embedding_dim,
        build_row_optimizer(spec.optimizer.sparse.type, spec.optimizer.sparse.weight_decay),
        seed=seed,
        device=device,
        owned=ranges[group.rank],
    )
    exchange = RowExchange(group, layout.id_bounds(ranges), wire_type(spec, group))
    model, algorithms = build_dense(spec, schema, list(tables))
    model.to(device)
    weights = label_weights(schema, spec.training.label_weights)
    assembler = InputAssembler(schema, vocabularies, store, weights, seed=seed, device=device)
    exact = {name: known for name, known in keys.items() if isinstance(vocabularies[name], ExactVocabulary)}
    return Components(
        schema,
        exact,
        vocabularies,
        store,
        group,
        exchange,
        model,
        algorithms,
        spec.algorithms[-1],
        assembler,
        torch.bfloat16 if spec.training.precision == "bfloat16" else None,
    )


def build_dense(spec: Spec, schema: Schema, tables: Sequence[str]) -> tuple[nn.Module, dict[str, Algorithm]]:
    """The model of a job, and its algorithms by name; their learned step sizes are parameters of the model.

    Raises:
        ModelError: either cannot be built.
    """
    model = build_model(spec.model, model_inputs(schema, spec.model.embedding_dim), spec.training.seed)
    metas = {name: spec.meta.model_copy(update={"algorithm": name}) for name in spec.algorithms}
    return model, {name: build_algorithm(meta, model, tables) for name, meta in metas.items()}


def model_inputs(schema: Schema, dim: int) -> ModelInputs:
    """What a dataset offers a model."""
    features = tuple(feature.name for feature in (*schema.categorical, *schema.multi))
    return ModelInputs(numeric=schema.numeric, features=features, dim=dim, labels=schema.labels)


def label_weights(schema: Schema, given: Mapping[str, float]) -> list[float]:
    """What each label of a dataset counts in losses.

    Raises:
        ModelError: a weight is given to a label that the dataset does not have.
    """
    for name in given:
        if name not in schema.labels:
            raise ModelError(
                f"spec.training.labelWeights: '{name}' is not a label of the dataset; they are "
                f"{', '.join(schema.labels)}"
            )
    return [given.get(name, 1.0) for name in schema.labels]


def _vocabulary(spec: ModelSpec, name: str, keys: Ints) -> Vocabulary:
    chosen = next((override for override in spec.vocabularies if override.name == name), spec.vocabulary)
    if chosen.type == "hash":
        assert chosen.rows is not None, "a rule of the manifest holds this"
        return HashVocabulary(chosen.rows)
    return ExactVocabulary(keys)


def wire_type(spec: Spec, group: Group) -> torch.dtype | None:
    """What rows and gradients travel as; None for their own type, which is all there is to one rank alone."""
    rounded = spec.parallelism.exchange_precision == "bfloat16" and group.size > 1
    return torch.bfloat16 if rounded else None


def choose_device(wanted: str, local_rank: int = 0) -> torch.device:
    """The device of `spec.training.device`; `auto` takes a GPU where there is one.

    Args:
        wanted: `auto`, `cpu` or `cuda`.
        local_rank: number of this rank among those of its pod, which share out the pod's GPUs.

    Raises:
        ModelError: cuda is asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            "spec.training.device: 'cuda' was asked for, but this process sees no GPU; "
            "use 'auto' or 'cpu', or give the worker pods nvidia.com/gpu in spec.workers.resources.limits"
        )
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", local_rank % torch.cuda.device_count())
