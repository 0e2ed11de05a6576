"""Meta-learning as a Python loop over tasks: what most code bases do, in the two forms that were fastest.

Each task has a copy of every weight that adapts, and passes of its own. Nothing else is left to save: plain functions
instead of modules, the product's interaction operator, gradients with respect to a task's own rows only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, linear

from bench.meta_problem import RATE, Problem
from gmeta_worker.meta import Samples
from gmeta_worker.models.interaction import pairs_with

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Gradients:
    """Sums over tasks of the mean query loss and of its gradients."""

    loss: Tensor
    dense: Mapping[str, Tensor]
    rows: Tensor


@dataclass(frozen=True)
class Half:
    """Support or query samples of one task; positions in the task's own rows."""

    numeric: Tensor
    index: Tensor
    labels: Tensor


def halves(problem: Problem, samples: Samples) -> Iterator[Half]:
    """Each task's samples."""
    counts = samples.task.bincount(minlength=problem.case.tasks).tolist()
    first = 0
    columns = zip(*(each.split(counts) for each in (samples.numeric, samples.index, samples.labels)), strict=True)
    for rows, (numeric, index, labels) in zip(problem.row_counts, columns, strict=True):
        yield Half(numeric, index - first, labels.squeeze(1))
        first += rows


def loss(weights: Weights, rows: Tensor, half: Half) -> Tensor:
    """Mean cross entropy of the DLRM."""
    hidden = linear(half.numeric, weights["bottom.0.weight"], weights["bottom.0.bias"]).relu()
    numeric = linear(hidden, weights["bottom.1.weight"], weights["bottom.1.bias"]).relu()
    count, features = half.index.shape
    looked_up = rows.index_select(0, half.index.reshape(-1)).view(count, features, rows.shape[1])
    interactions = torch.cat([numeric, *pairs_with(numeric, looked_up)], 1)
    hidden = linear(interactions, weights["top.0.weight"], weights["top.0.bias"]).relu()
    hidden = linear(hidden, weights["top.1.weight"], weights["top.1.bias"]).relu()
    logits = linear(hidden, weights["top.2.weight"], weights["top.2.bias"]).squeeze(1)
    return binary_cross_entropy_with_logits(logits, half.labels)


class Loop:
    """The loop over tasks.

    Args:
        problem: the step.
        weights: of the model, by name.
        second_order: whether the outer gradient goes through the inner gradients.
    """

    def __init__(self, problem: Problem, weights: Weights, *, second_order: bool) -> None:
        self._case = problem.case
        self._weights = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
        self._rows = problem.rows
        self._row_counts = list(problem.row_counts)
        self._support = list(halves(problem, problem.samples.support))
        self._query = list(halves(problem, problem.samples.query))
        self._second_order = second_order

    def summed(self) -> Gradients:
        """One backward pass through the sum of all tasks' losses."""
        leaf = self._rows.detach().requires_grad_()
        tasks = zip(leaf.split(self._row_counts), self._support, self._query, strict=True)
        total = torch.stack([self._query_loss(*task) for task in tasks]).sum()
        *dense, rows = torch.autograd.grad(total, [*self._weights.values(), leaf])
        return Gradients(total.detach(), dict(zip(self._weights, dense, strict=True)), rows)

    def accumulated(self) -> Gradients:
        """A backward pass a task, its gradients added up: one task's graph at a time."""
        total, sums, by_row = self._rows.new_zeros(()), [torch.zeros_like(w) for w in self._weights.values()], []
        for rows, support, query in zip(self._rows.split(self._row_counts), self._support, self._query, strict=True):
            leaf = rows.detach().requires_grad_()
            task_loss = self._query_loss(leaf, support, query)
            *dense, task_rows = torch.autograd.grad(task_loss, [*self._weights.values(), leaf])
            for added, gradient in zip(sums, dense, strict=True):
                added.add_(gradient)
            by_row.append(task_rows)
            total += task_loss.detach()
        return Gradients(total, dict(zip(self._weights, sums, strict=True)), torch.cat(by_row))

    def _query_loss(self, rows: Tensor, support: Half, query: Half) -> Tensor:
        weights: Weights = self._weights
        for _ in range(self._case.steps):
            adapting = [*weights.values(), *([rows] if self._case.rows else [])]
            gradients = torch.autograd.grad(loss(weights, rows, support), adapting, create_graph=self._second_order)
            weights = {name: w - RATE * g for (name, w), g in zip(weights.items(), gradients, strict=False)}
            rows = rows - RATE * gradients[-1] if self._case.rows else rows
        return loss(weights, rows, query)
