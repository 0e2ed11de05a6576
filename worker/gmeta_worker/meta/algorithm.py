"""What an algorithm of meta-learning is: a model, rows and a step's samples become outer gradients and scores."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from gmeta_worker.meta.adapter import Adapter, InnerLoop
from gmeta_worker.meta.forward import logits_of
from gmeta_worker.meta.samples import TaskSamples


@dataclass(frozen=True)
class StepGradients:
    """What one rank adds to a step: sums, so that any split of the tasks over ranks gives the same update.

    Attributes:
        loss: scalar, summed over the units of `weight`.
        weight: what the sums are divided by for a mean: tasks with a query sample, query samples, or, in joint
            training, samples, where only samples with a known label count.
        dense: summed gradient of every trainable parameter, by name.
        rows: [U, dim], summed gradient of the step's unique rows.
    """

    loss: Tensor
    weight: float
    dense: dict[str, Tensor]
    rows: Tensor


class Algorithm(Protocol):
    """Turns a model, rows and samples into gradients or scores; built as `Class(loops, **spec.meta.args)`."""

    def gradients(self, model: nn.Module, rows: Tensor, samples: TaskSamples) -> StepGradients:
        """Outer gradients of the model's parameters and of the looked-up `rows` [U, dim]; zeros without samples."""
        ...

    def scores(self, model: nn.Module, rows: Tensor, samples: TaskSamples, adapted: bool) -> Tensor:
        """Query logits [n_query, L], after the evaluation's inner loop on the support or with the shared parameters."""
        ...


@dataclass(frozen=True)
class InnerLoops:
    """What the manifest says about the inner loop, as an algorithm uses it.

    Attributes:
        adapter: runs inner loops on what adapts.
        training: the inner loop of training.
        evaluation: that of evaluation and serving.
        outer_loss: what the outer loss is a mean over: `tasks` as in G-Meta, or `samples`.
    """

    adapter: Adapter
    training: InnerLoop
    evaluation: InnerLoop
    outer_loss: Literal["tasks", "samples"]


class Adapting:
    """Base of algorithms whose scores are those of the evaluation's inner loop.

    Args:
        loops: what adapts, and how.
    """

    def __init__(self, loops: InnerLoops) -> None:
        self.loops = loops

    @torch.no_grad()
    def scores(self, model: nn.Module, rows: Tensor, samples: TaskSamples, adapted: bool) -> Tensor:
        """Query logits [n_query, L]; for a jointly trained model `adapted` means fine-tuned on the support."""
        if not len(samples.query):
            return rows.new_zeros(0, samples.query.labels.shape[1])
        if not adapted:
            return logits_of(model, rows, samples.query)
        adapter, loop = self.loops.adapter, self.loops.evaluation
        parts = adapter.parts(samples)
        return torch.cat([adapter.adapt(model, rows, part, loop).query_logits() for part in parts])


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that outer gradients are wanted of, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def summed_gradients(model: nn.Module, leaf: Tensor, losses: Iterable[Tensor], weight: float) -> StepGradients:
    """Gradients of the sum of `losses` with respect to the model's parameters and the rows `leaf`.

    Each loss is differentiated as it comes, so that the graph of one is gone before the next is built.
    """
    parameters = trainable(model)
    leaves = [*parameters.values(), leaf]
    total = leaf.new_zeros(())
    sums: Sequence[Tensor] | None = None
    for loss in losses:
        gradients = torch.autograd.grad(loss, leaves, materialize_grads=True)
        sums = gradients if sums is None else [a + b for a, b in zip(sums, gradients, strict=True)]
        total = total + loss.detach()
    *dense, rows = sums or [torch.zeros_like(each) for each in leaves]
    return StepGradients(total, float(weight), dict(zip(parameters, dense, strict=True)), rows)
