"""The two ways to train: meta-learning (MAML, first or second order) and ordinary joint training."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from gmeta_worker.meta.adapter import Adapter, InnerLoop
from gmeta_worker.meta.forward import logits_of, row_loss, task_loss
from gmeta_worker.meta.samples import TaskSamples


@dataclass(frozen=True)
class StepGradients:
    """What one rank adds to a step: sums, so that any split of the tasks over ranks gives the same update.

    Attributes:
        loss: scalar, summed over the units of `weight`.
        weight: what the sums are divided by for a mean: tasks with a query sample, query samples, or, in joint
            training, samples.
        dense: summed gradient of every trainable parameter, by name.
        rows: [U, dim], summed gradient of the step's unique rows.
    """

    loss: Tensor
    weight: float
    dense: dict[str, Tensor]
    rows: Tensor


class Algorithm(Protocol):
    """Turns a model, rows and samples into gradients or scores."""

    def gradients(self, model: nn.Module, rows: Tensor, samples: TaskSamples) -> StepGradients:
        """Outer gradients of the model's parameters and of the looked-up `rows` [U, dim]; zeros without samples."""
        ...

    def scores(self, model: nn.Module, rows: Tensor, samples: TaskSamples, adapted: bool) -> Tensor:
        """Query logits [n_query]: after the evaluation's inner loop on the support, or with the shared parameters."""
        ...


class Maml:
    """MAML and its first-order form (arXiv 1703.03400), with embedding rows as in G-Meta (arXiv 2401.04338).

    Args:
        adapter: how the inner loop is computed.
        training: inner loop of `gradients`.
        evaluation: inner loop of `scores`.
        outer_loss: what the outer loss is a mean over: `tasks` as in G-Meta, or `samples`.
    """

    def __init__(
        self, adapter: Adapter, training: InnerLoop, evaluation: InnerLoop, outer_loss: Literal["tasks", "samples"]
    ) -> None:
        self._adapter = adapter
        self._training = training
        self._evaluation = evaluation
        self._outer_loss = outer_loss

    def gradients(self, model: nn.Module, rows: Tensor, samples: TaskSamples) -> StepGradients:
        """Gradients of the query loss, summed over tasks of their mean losses, or over query samples."""
        leaf = rows.detach().requires_grad_()
        losses = (
            self._query_loss(self._adapter.query_logits(model, leaf, part, self._training), part)
            for part in self._adapter.parts(samples)
            if len(part.query)
        )
        by_tasks = self._outer_loss == "tasks"
        weight = len(torch.unique(samples.query.task)) if by_tasks else len(samples.query)
        return _summed(model, leaf, losses, weight)

    def _query_loss(self, logits: Tensor, part: TaskSamples) -> Tensor:
        if self._outer_loss == "tasks":
            return task_loss(logits, part.query, part.tasks)
        return row_loss(logits, part.query)

    def scores(self, model: nn.Module, rows: Tensor, samples: TaskSamples, adapted: bool) -> Tensor:
        """Query logits."""
        return _scores(self._adapter, self._evaluation, model, rows, samples, adapted)


class Joint:
    """Ordinary training on every sample, support or query; tasks play no part.

    Args:
        adapter: how the inner loop of an adapted evaluation is computed.
        evaluation: that inner loop.
    """

    def __init__(self, adapter: Adapter, evaluation: InnerLoop) -> None:
        self._adapter = adapter
        self._evaluation = evaluation

    def gradients(self, model: nn.Module, rows: Tensor, samples: TaskSamples) -> StepGradients:
        """Gradients of the loss summed over support and query samples."""
        leaf = rows.detach().requires_grad_()
        sets = [part for part in (samples.support, samples.query) if len(part)]
        losses = (row_loss(logits_of(model, leaf, part), part) for part in sets)
        return _summed(model, leaf, losses, weight=sum(len(part) for part in sets))

    def scores(self, model: nn.Module, rows: Tensor, samples: TaskSamples, adapted: bool) -> Tensor:
        """Query logits; `adapted` means fine-tuned on the support."""
        return _scores(self._adapter, self._evaluation, model, rows, samples, adapted)


def _summed(model: nn.Module, leaf: Tensor, losses: Iterable[Tensor], weight: float) -> StepGradients:
    """Differentiate each loss as it comes, so that the graph of one is gone before the next is built."""
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    leaves = [*trainable.values(), leaf]
    total = leaf.new_zeros(())
    sums = [torch.zeros_like(each) for each in leaves]
    for loss in losses:
        gradients = torch.autograd.grad(loss, leaves, materialize_grads=True)
        sums = [before + gradient for before, gradient in zip(sums, gradients, strict=True)]
        total = total + loss.detach()
    *dense, rows = sums
    return StepGradients(total, float(weight), dict(zip(trainable, dense, strict=True)), rows)


@torch.no_grad()
def _scores(
    adapter: Adapter, loop: InnerLoop, model: nn.Module, rows: Tensor, samples: TaskSamples, adapted: bool
) -> Tensor:
    if not len(samples.query):
        return rows.new_zeros(0)
    if not adapted:
        return logits_of(model, rows, samples.query)
    return torch.cat([adapter.query_logits(model, rows, part, loop) for part in adapter.parts(samples)])
