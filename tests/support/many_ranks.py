"""A small job in float64 on any number of ranks: its parts, random step batches, and its whole state in one place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from gmeta_api.spec import Spec
from gmeta_worker.embedding import RowStore, build_row_optimizer
from gmeta_worker.metaio import Feature, Ragged, Schema, StepBatch
from gmeta_worker.parallel import Group
from gmeta_worker.training.components import Components, build_components, label_weights
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.inputs import InputAssembler
from gmeta_worker.training.part import OwnPart
from gmeta_worker.training.phase_plan import PhasePlan
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.step import StepResult, TrainingStep

SCHEMA = Schema(
    categorical=(Feature("movie", "movie"), Feature("year", "year")),
    multi=(Feature("history", "movie"),),
    numeric=("age", "hour"),
    labels=("click",),
)
MOVIES, YEARS = 25, 3
KEYS = {"movie": np.arange(MOVIES), "year": np.arange(YEARS)}
TOTAL_STEPS = 20
BUILDING = Lock()  # the seeds of a model are set in the one generator that all threads share


def job(
    algorithm: str,
    *,
    dense: str = "SGD",
    sparse: str = "SGD",
    rate: float = 1.0,
    inner_rate: float = 1.0,
    label_weights: Mapping[str, float] | None = None,
) -> Spec:
    """A job whose inner rate of 1 shows a stale row, and whose dropout shows a mask that a split changes."""
    return Spec.model_validate(
        {
            "volumes": [{"name": "data", "emptyDir": {}}],
            "data": {"volume": "data", "path": "set"},
            "checkpoint": {"volume": "data", "path": "run"},
            "model": {"embeddingDim": 4, "bottom": [5], "top": [6], "dropout": 0.2},
            "meta": {"algorithm": algorithm, "inner": {"steps": 2, "rate": inner_rate}},
            "optimizer": {"dense": {"type": dense, "rate": rate}, "sparse": {"type": sparse, "rate": rate}},
            "training": {"epochs": 1, "labelWeights": label_weights or {}},
        }
    )


def make_batch(lengths: Sequence[int], seed: int = 0, labels: int = 1) -> StepBatch:
    """Ragged tasks over few and skewed keys, so that tasks, ranks, support and query share most of their rows.

    One label is always known; of several each is missing in a third of the rows.
    """
    draw = np.random.default_rng(seed)
    rows = int(sum(lengths))
    listed = draw.integers(0, 4, rows)
    offsets = np.concatenate([[0], np.cumsum(listed)])

    def movies(count: int) -> np.ndarray:
        return (MOVIES * draw.random(count) ** 3).astype(np.int64)

    batch = StepBatch(
        epoch=0,
        step=0,
        positions=(0, len(lengths)),
        task_keys=np.arange(len(lengths)),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        support=np.array([draw.integers(0, length) for length in lengths], dtype=np.int64),
        keys=np.stack([movies(rows), draw.integers(0, YEARS, rows)], axis=1),
        multi=(Ragged(offsets, movies(int(offsets[-1]))),),
        numeric=draw.normal(size=(rows, 2)).astype(np.float32),
        labels=draw.integers(0, 2, (rows, 1)).astype(np.float32),
        row_ids=range(rows),
    )
    if labels == 1:
        return batch
    several = draw.integers(0, 2, (rows, labels)).astype(np.float32)
    return replace(batch, labels=np.where(draw.random((rows, labels)) < 1 / 3, np.float32("nan"), several))


def parts_of(spec: Spec, group: Group) -> Components:
    """One rank's parts, in float64; the labels are those that the job weighs, else one."""
    schema = replace(SCHEMA, labels=tuple(spec.training.label_weights) or SCHEMA.labels)
    with BUILDING:
        parts = build_components(spec, schema, KEYS, torch.device("cpu"), group)
    tables = {name: vocabulary.rows for name, vocabulary in parts.vocabularies.items()}
    optimizer = build_row_optimizer(spec.optimizer.sparse.type)
    store = RowStore(tables, spec.model.embedding_dim, optimizer, 0, torch.float64, owned=parts.store.blocks())
    weights = label_weights(schema, spec.training.label_weights)
    assembler = InputAssembler(schema, parts.vocabularies, store, weights, dtype=torch.float64)
    parts.model.double()
    return replace(parts, store=store, assembler=assembler)


def never() -> bool:
    """Nobody asks to stop."""
    return False


@dataclass(frozen=True)
class Rank:
    """A rank that is ready to train."""

    parts: Components
    optimizer: DenseOptimizer
    step: TrainingStep

    @classmethod
    def of(cls, spec: Spec, group: Group, weights: Sequence[float] = (), stop: Callable[[], bool] = never) -> "Rank":
        """A rank of `group`; without `weights` all ranks have the same."""
        parts = parts_of(spec, group)
        optimizer = DenseOptimizer(spec.optimizer.dense, parts.model)
        part = OwnPart(group.rank, tuple(weights)) if weights else OwnPart.even(group)
        step = TrainingStep(
            parts, optimizer, spec.optimizer, PhasePlan(spec.algorithms, (0,), TOTAL_STEPS), part, stop, PhaseClock()
        )
        return cls(parts, optimizer, step)

    def dense(self) -> dict[str, Tensor]:
        """A copy of its replica of the dense weights and of their optimiser's state."""
        weights = {name: p.detach().clone() for name, p in self.parts.model.named_parameters()}
        return weights | {name: tensor.clone() for name, tensor in self.optimizer.export().items()}

    def rows(self) -> dict[str, Tensor]:
        """A copy of its own rows and of their optimiser's state."""
        blocks = self.parts.store.blocks()
        return self.parts.store.export_blocks(blocks.start, blocks.stop)


@dataclass(frozen=True)
class Outcome:
    """Where a rank ends, and what its steps said."""

    dense: dict[str, Tensor]
    rows: dict[str, Tensor]
    results: list[StepResult]


def train(
    spec: Spec,
    group: Group,
    batches: Sequence[StepBatch],
    weights: Sequence[float] = (),
    stop: Callable[[], bool] = never,
    *,
    ahead: bool = True,
) -> Outcome:
    """Train one rank on its part of `batches`, of which each step begins the next one ahead, or none does."""
    rank = Rank.of(spec, group, weights, stop)
    following = [*batches[1:], None][: len(batches)] if ahead else [None] * len(batches)
    results = [rank.step(*each) for each in zip(batches, range(len(batches)), following, strict=True)]
    return Outcome(rank.dense(), rank.rows(), results)


def all_rows(outcomes: Sequence[Outcome]) -> dict[str, Tensor]:
    """The rows of all ranks, in the order of the blocks: what one rank alone has."""
    return {name: torch.cat([each.rows[name] for each in outcomes]) for name in outcomes[0].rows}


def difference(left: dict[str, Tensor], right: dict[str, Tensor]) -> float:
    """Largest difference, relative to the largest number of its tensor."""
    assert left.keys() == right.keys()
    return max(float((left[n] - right[n]).abs().max() / right[n].abs().max().clamp(min=1e-3)) for n in right)
