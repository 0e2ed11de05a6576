"""The inner loop of one task after another, for models with adapted parameters outside of adaptive layers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gmeta_worker.meta.adapter import InnerLoop, Movement, support_counts, support_weights
from gmeta_worker.meta.forward import by_label, drawing, model_arguments, weighted_loss
from gmeta_worker.meta.precision import autocast
from gmeta_worker.meta.rows import RowCopies, copy_rows, with_copies
from gmeta_worker.meta.samples import Samples, TaskSamples
from gmeta_worker.meta.targets import Targets


class GenericAdapter:
    """Adapts any parameters, at the price of a copy of them and of passes of its own for every task.

    Args:
        targets: what adapts.
    """

    def __init__(self, targets: Targets) -> None:
        self.targets = targets

    def parts(self, samples: TaskSamples) -> Iterable[TaskSamples]:
        """Each task alone, so that only one task's graph is alive."""
        return samples.one_by_one()

    def adapt(self, model: nn.Module, rows: Tensor, samples: TaskSamples, loop: InnerLoop) -> "GenericTask":
        """Take the inner steps of one task."""
        copies = copy_rows(samples, self.targets.tables.to(rows.device))
        weights: dict[str, Tensor] = {name: model.get_parameter(name) for name in self.targets.parameters}
        task = GenericTask(model, rows, copies, rows.index_select(0, copies.positions), weights)
        if not len(samples.support):
            return task
        sizes = _Sizes.of(self.targets, loop, copies)
        with torch.enable_grad():
            for number in range(loop.steps):
                task = task.after_step(sizes, number, differentiable=loop.second_order)
        return task


@dataclass(frozen=True)
class _Sizes:
    """Of the inner steps of one task: scalars by parameter, [P, 1] for the copied rows, and [n, L] of the losses."""

    parameters: dict[str, Tensor]
    rows: Tensor
    losses: Tensor

    @classmethod
    def of(cls, targets: Targets, loop: InnerLoop, copies: RowCopies) -> "_Sizes":
        support = copies.samples.support
        counts = support_counts(support, 1)
        sizes = {group: size[0] for group, size in loop.step_sizes(counts).items()}
        parameters = {name: sizes[group] for name, group in targets.parameters.items()}
        by_table = {number: sizes[name] for number, name in targets.row_groups.items()}
        rows = [by_table[table] for table in copies.tables.tolist()]
        stacked = (torch.stack(rows) if rows else counts.new_zeros(0)).unsqueeze(1)
        return cls(parameters, stacked, support_weights(support, 1, loop.shrinkage))


@dataclass(frozen=True)
class GenericTask:
    """One task after some inner steps.

    Attributes:
        model: with the shared parameters.
        rows: [U, dim], the shared rows.
        copies: which rows the task has copies of.
        own: [P, dim], the copies.
        weights: the task's parameters, by name.
    """

    model: nn.Module
    rows: Tensor
    copies: RowCopies
    own: Tensor
    weights: Mapping[str, Tensor]

    def after_step(self, sizes: _Sizes, number: int, *, differentiable: bool) -> "GenericTask":
        """The task after one more gradient step, the `number`th of the loop."""
        own = self.own if self.own.requires_grad else self.own.requires_grad_()
        support = self.copies.samples.support
        logits = self._logits(with_copies(self.rows, own), support, draw=number + 1)
        loss = weighted_loss(logits, support, sizes.losses)
        *by_weight, by_row = torch.autograd.grad(
            loss, [*self.weights.values(), own], create_graph=differentiable, materialize_grads=True
        )
        changed = {
            name: weight - sizes.parameters[name] * gradient
            for (name, weight), gradient in zip(self.weights.items(), by_weight, strict=True)
        }
        return GenericTask(self.model, self.rows, self.copies, own - sizes.rows * by_row, changed)

    def query_logits(self) -> Tensor:
        """Logits of the query samples with the task's adapted parameters."""
        return self._logits(with_copies(self.rows, self.own), self.copies.samples.query, draw=0)

    @torch.no_grad()
    def movement(self) -> Movement:
        """What the steps have changed."""
        dense = {name: self.model.get_parameter(name) - weight for name, weight in self.weights.items()}
        moved = self.rows.index_select(0, self.copies.positions) - self.own
        return Movement(dense, torch.zeros_like(self.rows).index_add(0, self.copies.positions, moved))

    def _logits(self, table: Tensor, samples: Samples, draw: int) -> Tensor:
        with drawing(self.model, samples, draw), autocast(table.device):
            logits: Tensor = functional_call(
                self.model, dict(self.weights), model_arguments(self.model, table, samples)
            )
        return by_label(logits)
