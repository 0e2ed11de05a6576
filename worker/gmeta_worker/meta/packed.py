"""The inner loop of all tasks at once: adaptive layers take low-rank steps, rows have packed copies."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gmeta_worker.layers import Packing, Steps, TaskContext, task_context
from gmeta_worker.meta.adapter import InnerLoop, Movement, support_counts, support_weights
from gmeta_worker.meta.forward import logits_of, weighted_loss
from gmeta_worker.meta.rows import RowCopies, copy_rows, with_copies
from gmeta_worker.meta.samples import Samples, TaskSamples
from gmeta_worker.meta.targets import Targets


class PackedAdapter:
    """Adapts adaptive layers and rows for all tasks in one pass a step.

    Args:
        targets: what adapts; its layers are all adaptive layers.
    """

    def __init__(self, targets: Targets) -> None:
        self.targets = targets

    def parts(self, samples: TaskSamples) -> Iterable[TaskSamples]:
        """All tasks together."""
        return (samples,)

    def adapt(self, model: nn.Module, rows: Tensor, samples: TaskSamples, loop: InnerLoop) -> "PackedTasks":
        """Take the inner steps of all tasks."""
        copies = copy_rows(samples, self.targets.tables.to(rows.device))
        support = Packing.of(samples.support.task, samples.tasks)
        tasks = PackedTasks(self.targets, model, rows, copies, support, rows.index_select(0, copies.positions), {})
        if not len(samples.support):
            return tasks
        sizes = _Sizes.of(self.targets, loop, copies)
        with torch.enable_grad():
            for number in range(loop.steps):
                tasks = tasks.after_step(sizes, number, differentiable=loop.second_order)
        return tasks


@dataclass(frozen=True)
class _Sizes:
    """Of the inner steps.

    Attributes:
        layers: [n_support], what a layer's gradient at each support sample is multiplied by.
        rows: [P, 1], the same for each copied row.
        losses: [n_support, L], what the losses count before that.
    """

    layers: dict[nn.Module, Tensor]
    rows: Tensor
    losses: Tensor

    @classmethod
    def of(cls, targets: Targets, loop: InnerLoop, copies: RowCopies) -> "_Sizes":
        support = copies.samples.support
        counts = support_counts(support, copies.samples.tasks)
        layers = {
            layer: loop.size(name, counts).index_select(0, support.task) for layer, name in targets.layers.items()
        }
        losses = support_weights(support, copies.samples.tasks, loop.shrinkage)
        if not len(copies.positions):
            return cls(layers, counts.new_zeros(0, 1), losses)
        by_table = {number: loop.size(name, counts) for number, name in targets.row_groups.items()}
        stacked = torch.stack([by_table.get(n, torch.zeros_like(counts)) for n in range(len(targets.tables))])
        return cls(layers, stacked[copies.tables, copies.tasks].unsqueeze(1), losses)


@dataclass(frozen=True)
class PackedTasks:
    """Tasks after some inner steps.

    Attributes:
        targets: what adapts.
        model: with the shared parameters.
        rows: [U, dim], the shared rows.
        copies: which rows each task has copies of.
        support: packing of the support samples.
        own: [P, dim], the copies.
        steps: the factors of the layers.
    """

    targets: Targets
    model: nn.Module
    rows: Tensor
    copies: RowCopies
    support: Packing
    own: Tensor
    steps: Steps

    def after_step(self, sizes: _Sizes, number: int, *, differentiable: bool) -> "PackedTasks":
        """The tasks after one more gradient step, the `number`th of the loop."""
        own = self.own if self.own.requires_grad else self.own.requires_grad_()
        support = self.copies.samples.support
        with task_context(self._context(self.support, recording=True)) as context:
            logits = logits_of(self.model, with_copies(self.rows, own), support, draw=number + 1)
            loss = weighted_loss(logits, support, sizes.losses)
        outputs = [call.output for call in context.calls]
        leaves = [own] if len(own) or not outputs else []  # an empty gradient would be sought through all layers
        gradients = torch.autograd.grad(loss, [*outputs, *leaves], create_graph=differentiable, materialize_grads=True)
        return PackedTasks(
            self.targets,
            self.model,
            self.rows,
            self.copies,
            self.support,
            own - sizes.rows * gradients[-1] if leaves else own,
            context.steps_after(gradients[: len(outputs)], sizes.layers, differentiable=differentiable),
        )

    def query_logits(self) -> Tensor:
        """Logits of the query samples, each with its task's adapted parameters."""
        return self._logits(self.copies.samples.query)

    def _logits(self, samples: Samples) -> Tensor:
        packing = Packing.of(samples.task, self.copies.samples.tasks)
        with task_context(self._context(packing, recording=False)):
            return logits_of(self.model, with_copies(self.rows, self.own), samples)

    @torch.no_grad()
    def movement(self) -> Movement:
        """The low-rank steps as matrices, added up over tasks: the only place that forms them."""
        dense = {name: torch.zeros_like(self.model.get_parameter(name)) for name in self.targets.parameters}
        for (layer, _), taken in self.steps.items():
            changes = taken.changes.flatten(0, 1)
            path = self.targets.layers[layer]
            if f"{path}.weight" in dense:
                dense[f"{path}.weight"] -= changes.T @ taken.inputs.flatten(0, 1).to(changes.dtype)
            if f"{path}.bias" in dense:
                dense[f"{path}.bias"] -= changes.sum(0)
        moved = self.rows.index_select(0, self.copies.positions) - self.own
        return Movement(dense, torch.zeros_like(self.rows).index_add(0, self.copies.positions, moved))

    def _context(self, samples: Packing, *, recording: bool) -> TaskContext:
        return TaskContext(samples, self.support, self.targets.layers.keys(), self.steps, recording=recording)
