"""The meta-steps that benchmarks compute: a small DLRM, and tasks of random samples with rows of their own."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gmeta_api.spec import AdaptSpec, MetaSpec, ModelSpec
from gmeta_worker.meta import Algorithm, Samples, TaskSamples, build_algorithm
from gmeta_worker.models import ModelInputs, build_model

FEATURES, NUMERIC, DIM, RATE = 26, 13, 16, 0.1
INPUTS = ModelInputs(tuple(f"n{i}" for i in range(NUMERIC)), tuple(f"f{i}" for i in range(FEATURES)), DIM, ("click",))
MODEL = ModelSpec(embedding_dim=DIM, bottom=(256,), top=(256, 128))


@dataclass(frozen=True)
class Case:
    """A kind of meta-step.

    Attributes:
        tasks: how many.
        shots: support samples of a task, and as many query samples; with `ragged` the mean of both.
        steps: of the inner loop.
        rows: whether embedding rows adapt too.
        ragged: whether the tasks differ in size: evenly drawn from 1 to twice the mean less one.
    """

    tasks: int
    shots: int
    steps: int
    rows: bool = False
    ragged: bool = False

    @property
    def name(self) -> str:
        """As tables call it."""
        shots = f"S=1..{2 * self.shots - 1}" if self.ragged else f"S={self.shots}"
        return f"T={self.tasks} {shots} K={self.steps}{' with rows' if self.rows else ''}"

    @property
    def adapt(self) -> AdaptSpec:
        """What adapts: every layer, and every row where rows do."""
        return AdaptSpec(dense=("*",), rows=("*",) if self.rows else ())


@dataclass(frozen=True)
class Problem:
    """Rows and samples of one step; a task has rows of its own, and its support and query draw from the same ones.

    Attributes:
        case: what kind of step it is.
        rows: [R, dim].
        row_counts: rows of each task, in order.
        samples: as the product's step takes them.
    """

    case: Case
    rows: Tensor
    row_counts: Sequence[int]
    samples: TaskSamples


def make_problem(case: Case, dtype: torch.dtype) -> Problem:
    """Random samples; a task has twice as many rows as its mean number of samples looks up."""
    draw = torch.Generator().manual_seed(0)
    per_task = 2 * case.shots * FEATURES

    def samples() -> Samples:
        drawn = torch.randint(1, 2 * case.shots, (case.tasks,), generator=draw)
        task = torch.arange(case.tasks).repeat_interleave(drawn if case.ragged else torch.tensor(case.shots))
        count = len(task)
        return Samples(
            task=task,
            numeric=torch.rand(count, NUMERIC, generator=draw, dtype=dtype),
            index=torch.randint(per_task, (count, FEATURES), generator=draw) + per_task * task.unsqueeze(1),
            multi=(),
            labels=(torch.rand(count, 1, generator=draw) < 0.3).to(dtype),
            label_weights=torch.ones(1, dtype=dtype),
            seeds=torch.arange(count),
        )

    rows = torch.randn(case.tasks * per_task, DIM, generator=draw, dtype=dtype) * 0.1
    tables = torch.zeros(len(rows), dtype=torch.int64)
    return Problem(case, rows, [per_task] * case.tasks, TaskSamples(case.tasks, samples(), samples(), tables))


def make_model(dtype: torch.dtype) -> nn.Module:
    """DLRM: bottom 13-256-16, top 367-256-128-1."""
    return build_model(MODEL, INPUTS, seed=0).to(dtype)


def make_algorithm(case: Case, order: int, model: nn.Module) -> Algorithm:
    """The product's algorithm for a case: FOMAML or MAML."""
    inner = {"steps": case.steps, "rate": RATE}
    meta = MetaSpec(algorithm={1: "FOMAML", 2: "MAML"}[order], inner=inner, adapt=case.adapt)
    return build_algorithm(meta, model, ["rows"])
