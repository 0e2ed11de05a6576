"""The reference: meta-learning as the equations say it, one task after another, on explicit weights and row copies.

Nothing of gmeta_worker.layers or gmeta_worker.meta computes here: a task is Python lists of samples, a task's embedding
is a full copy of the rows, its weights are a dictionary, and the model is a function of both.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from gmeta_api.spec import ModelSpec
from gmeta_worker.meta import RaggedIndex, Samples, TaskSamples
from gmeta_worker.models import DLRM, ModelInputs

Weights = Mapping[str, Tensor]
Forward = Callable[[Weights, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class PlainSample:
    numeric: list[float]
    index: list[int]
    multi: list[list[int]]
    labels: list[float | None]


@dataclass(frozen=True)
class PlainTask:
    support: list[PlainSample]
    query: list[PlainSample]


@dataclass(frozen=True)
class Problem:
    """Random tasks, as plain lists for the reference and packed for the code under test."""

    tasks: list[PlainTask]
    rows: Tensor
    tables: list[int]
    inputs: ModelInputs
    label_weights: list[float]

    def packed(self) -> TaskSamples:
        return TaskSamples(
            tasks=len(self.tasks),
            support=self._samples([task.support for task in self.tasks]),
            query=self._samples([task.query for task in self.tasks]),
            tables=torch.tensor(self.tables, dtype=torch.int64),
        )

    def _samples(self, by_task: list[list[PlainSample]]) -> Samples:
        flat = [sample for samples in by_task for sample in samples]
        multi = len(self.inputs.features) - self.singles
        return Samples(
            task=torch.tensor([t for t, samples in enumerate(by_task) for _ in samples], dtype=torch.int64),
            numeric=torch.tensor([s.numeric for s in flat], dtype=torch.float64).view(
                len(flat), len(self.inputs.numeric)
            ),
            index=torch.tensor([s.index for s in flat], dtype=torch.int64).view(len(flat), self.singles),
            multi=tuple(_ragged([s.multi[m] for s in flat]) for m in range(multi)),
            labels=torch.tensor(
                [[math.nan if label is None else label for label in s.labels] for s in flat], dtype=torch.float64
            ).view(len(flat), len(self.label_weights)),
            label_weights=torch.tensor(self.label_weights, dtype=torch.float64),
            seeds=torch.arange(len(flat)),
        )

    @property
    def singles(self) -> int:
        return sum(name.startswith("single") for name in self.inputs.features)


def _ragged(lists: list[list[int]]) -> RaggedIndex:
    offsets = torch.tensor([0, *(len(values) for values in lists)]).cumsum(0)
    return RaggedIndex(offsets, torch.tensor([v for values in lists for v in values], dtype=torch.int64))


def make_problem(
    sizes: Sequence[tuple[int, int]],
    *,
    numeric: int = 2,
    singles: int = 2,
    multi: int = 1,
    dim: int = 3,
    seed: int = 0,
    label_weights: Sequence[float] = (1.0,),
    missing: bool = False,
) -> Problem:
    """Tasks of the given (support, query) sizes over few rows, so that most query rows are support rows too.

    Feature f uses table f; a table has three rows. With `missing`, half of the labels are not known.
    """
    generator = torch.Generator().manual_seed(seed)
    features = singles + multi

    def draw(high: int) -> int:
        return int(torch.randint(high, (), generator=generator))

    def sample() -> PlainSample:
        return PlainSample(
            numeric=torch.randn(numeric, generator=generator, dtype=torch.float64).tolist(),
            index=[3 * f + draw(3) for f in range(singles)],
            multi=[[3 * f + draw(3) for _ in range(draw(4))] for f in range(singles, features)],
            labels=[None if missing and draw(2) else float(draw(2)) for _ in label_weights],
        )

    return Problem(
        tasks=[PlainTask([sample() for _ in range(s)], [sample() for _ in range(q)]) for s, q in sizes],
        rows=torch.randn(3 * features, dim, generator=generator, dtype=torch.float64),
        tables=[f for f in range(features) for _ in range(3)],
        inputs=ModelInputs(
            tuple(f"numeric{i}" for i in range(numeric)),
            tuple([f"single{i}" for i in range(singles)] + [f"multi{i}" for i in range(multi)]),
            dim,
            tuple(f"label{i}" for i in range(len(label_weights))),
        ),
        label_weights=list(label_weights),
    )


def dlrm_forward(weights: Weights, numeric: Tensor, stacked: Tensor) -> Tensor:
    """DLRM written out, from a dictionary of its weights: logits [n, L]."""

    def layers(prefix: str) -> int:
        return sum(name.startswith(prefix) and name.endswith("weight") for name in weights)

    x, vectors = numeric, list(stacked.unbind(1))
    for i in range(layers("bottom")):
        x = torch.relu(x @ weights[f"bottom.{i}.weight"].T + weights[f"bottom.{i}.bias"])
    if layers("bottom"):
        vectors = [x, *vectors]
    dots = [(a * b).sum(1, keepdim=True) for i, a in enumerate(vectors) for b in vectors[i + 1 :]]
    h = torch.cat([*([x] if layers("bottom") else []), *dots], 1)
    for i in range(layers("top")):
        h = h @ weights[f"top.{i}.weight"].T + weights[f"top.{i}.bias"]
        h = torch.relu(h) if i < layers("top") - 1 else h
    return h


@dataclass(frozen=True)
class Expected:
    loss: Tensor
    dense: dict[str, Tensor]
    rows: Tensor


@dataclass(frozen=True)
class Reference:
    """MAML by the book.

    Attributes:
        forward: (weights, numeric [n, D], stacked [n, F, dim]) -> logits [n] for one label or [n, L].
        adapted: names of the weights that adapt.
        tables: the tables whose rows adapt.
        shrinkage: added to the number of support samples with a label that the label's summed loss is divided by.
        by_samples: whether a task's query loss counts by its samples, or once.
        stale: the classic mistake: query samples see the rows as they were before the inner loop.
    """

    forward: Forward
    adapted: Collection[str]
    tables: Collection[int]
    steps: int
    rate: float
    second_order: bool
    shrinkage: float = 0.0
    by_samples: bool = False
    stale: bool = False

    def gradients(self, weights: Weights, problem: Problem) -> Expected:
        weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
        rows = problem.rows.clone().requires_grad_()
        losses = [
            self._loss(*self._adapted(weights, rows, problem, task), task.query, problem, sums=self.by_samples)
            for task in problem.tasks
            if task.query
        ]
        total = torch.stack(losses).sum()
        *dense, by_row = torch.autograd.grad(total, [*weights.values(), rows], materialize_grads=True)
        return Expected(total.detach(), dict(zip(weights, dense, strict=True)), by_row)

    def row_sum_gradients(self, weights: Weights, problem: Problem) -> Expected:
        """Ordinary training: every sample counts the same, support or query."""
        weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
        rows = problem.rows.clone().requires_grad_()
        samples = [s for task in problem.tasks for s in task.support + task.query]
        total = self._loss(weights, rows, samples, problem, sums=True)
        *dense, by_row = torch.autograd.grad(total, [*weights.values(), rows])
        return Expected(total.detach(), dict(zip(weights, dense, strict=True)), by_row)

    def scores(self, weights: Weights, problem: Problem) -> Tensor:
        weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
        rows = problem.rows.clone().requires_grad_()
        logits = [
            self._logits(*self._adapted(weights, rows, problem, task), task.query)
            for task in problem.tasks
            if task.query
        ]
        return torch.cat(logits).detach()

    def _adapted(self, weights: Weights, rows: Tensor, problem: Problem, task: PlainTask) -> tuple[Weights, Tensor]:
        adapts = torch.tensor([float(table in self.tables) for table in problem.tables]).double().unsqueeze(1)
        own = dict(weights)
        copies = rows
        for _ in range(self.steps if task.support else 0):
            changing = [own[name] for name in self.adapted]
            loss = self._loss(own, copies, task.support, problem, shrinkage=self.shrinkage)
            *by_weight, by_row = torch.autograd.grad(
                loss, [*changing, copies], create_graph=self.second_order, materialize_grads=True
            )
            own |= {n: own[n] - self.rate * g for n, g in zip(self.adapted, by_weight, strict=True)}
            copies = copies - self.rate * adapts * by_row
        return own, rows if self.stale else copies

    def _logits(self, weights: Weights, rows: Tensor, samples: list[PlainSample]) -> Tensor:
        lists = [[*([i] for i in s.index), *s.multi] for s in samples]
        stacked = _means(lists, rows)
        numeric = torch.tensor([s.numeric for s in samples], dtype=torch.float64).view(
            len(samples), len(samples[0].numeric)
        )
        return self.forward(weights, numeric, stacked).reshape(len(samples), -1)

    def _loss(
        self,
        weights: Weights,
        rows: Tensor,
        samples: list[PlainSample],
        problem: Problem,
        *,
        sums: bool = False,
        shrinkage: float = 0.0,
    ) -> Tensor:
        """Of each label the (shrunk) mean over samples that have it, or the sum; added up by the labels' weights."""
        p = torch.sigmoid(self._logits(weights, rows, samples))
        total = 0 * p.sum()
        for number, weight in enumerate(problem.label_weights):
            known = [(p[n, number], s.labels[number]) for n, s in enumerate(samples) if s.labels[number] is not None]
            losses = [-(q.log() if y else (1 - q).log()) for q, y in known]
            if losses:
                total = total + weight * torch.stack(losses).sum() / (1 if sums else len(losses) + shrinkage)
        return total


def _means(lists: list[list[list[int]]], rows: Tensor) -> Tensor:
    """[n, F, dim]: the mean of the rows that each list names, as a product with a matrix of shares."""
    shares = torch.zeros(len(lists), len(lists[0]), len(rows), dtype=rows.dtype)
    for n, features in enumerate(lists):
        for f, positions in enumerate(features):
            for position in positions:
                shares[n, f, position] += 1 / len(positions)
    return shares @ rows


def small_dlrm(inputs: ModelInputs, seed: int = 0) -> DLRM:
    torch.manual_seed(seed)
    model = DLRM(ModelSpec(bottom=[5], top=[6, 4]), inputs).double()
    model.inputs = inputs  # type: ignore[assignment]  # as build_model does
    return model


@dataclass(frozen=True)
class Tools:
    """What the tests of this folder share (test modules cannot import one another)."""

    make_problem = staticmethod(make_problem)
    dlrm_forward = staticmethod(dlrm_forward)
    small_dlrm = staticmethod(small_dlrm)
    reference = Reference
    expected = Expected


@pytest.fixture(scope="session")
def tools() -> Tools:
    return Tools()
