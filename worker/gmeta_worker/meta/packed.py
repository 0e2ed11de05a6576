"""The inner loop of all tasks at once: adaptive layers take low-rank steps, rows have packed copies."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gmeta_worker.layers import AdaptedLayers, AdaptiveLayer, LayerTasks, Packing, Passes, TaskContext, task_context
from gmeta_worker.meta.adapter import InnerLoop, Movement, support_counts, support_weights
from gmeta_worker.meta.forward import logits_of, weighted_loss
from gmeta_worker.meta.rows import RowCopies, copy_rows, with_copies
from gmeta_worker.meta.samples import TaskSamples
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
        support, query = (Packing.of(part.task, samples.tasks) for part in (samples.support, samples.query))
        sizes = _Sizes.of(self.targets, loop, copies)
        passes = Passes(loop.steps, support.lengths, query.lengths)
        layers: dict[nn.Module, LayerTasks] = {
            layer: layer.in_tasks(support, -sizes.layers[layer], passes) for layer in self.targets.packed
        }
        own = rows.index_select(0, copies.positions)
        tasks = PackedTasks(self.targets, model, rows, copies, support, query, own, layers)
        if not len(samples.support):
            return tasks
        with torch.enable_grad():
            for number in range(loop.steps):
                tasks = tasks.after_step(sizes, number, differentiable=loop.second_order)
        return tasks


@dataclass(frozen=True)
class _Sizes:
    """Of the inner steps.

    Attributes:
        layers: [T], what a layer's gradient is multiplied by.
        rows: [P, 1], the same for each copied row.
        losses: [n_support, L], what the losses count before that.
    """

    layers: dict[AdaptiveLayer, Tensor]
    rows: Tensor
    losses: Tensor

    @classmethod
    def of(cls, targets: Targets, loop: InnerLoop, copies: RowCopies) -> "_Sizes":
        support = copies.samples.support
        counts = support_counts(support, copies.samples.tasks)
        sizes = loop.step_sizes(counts)
        layers = {layer: sizes[name] for layer, name in targets.packed.items()}
        losses = support_weights(support, copies.samples.tasks, loop.shrinkage)
        if not len(copies.positions):
            return cls(layers, counts.new_zeros(0, 1), losses)
        by_table = {number: sizes[name] for number, name in targets.row_groups.items()}
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
        query: packing of the query samples.
        own: [P, dim], the copies.
        layers: what adapts, in every task.
    """

    targets: Targets
    model: nn.Module
    rows: Tensor
    copies: RowCopies
    support: Packing
    query: Packing
    own: Tensor
    layers: AdaptedLayers

    def after_step(self, sizes: _Sizes, number: int, *, differentiable: bool) -> "PackedTasks":
        """The tasks after one more gradient step, the `number`th of the loop."""
        own = self.own if self.own.requires_grad else self.own.requires_grad_()
        support = self.copies.samples.support
        with task_context(TaskContext(self.support, self.layers, recording=True)) as context:
            shared = self.rows if differentiable else self.rows.detach()
            logits = logits_of(self.model, with_copies(shared, own), support, draw=number + 1)
            loss = weighted_loss(logits, support, sizes.losses)
        outputs = context.outputs
        leaves = [own] if len(own) or not outputs else []  # an empty gradient would be sought through all layers
        gradients = torch.autograd.grad(loss, [*outputs, *leaves], create_graph=differentiable, materialize_grads=True)
        return replace(
            self,
            own=own - sizes.rows * gradients[-1] if leaves else own,
            layers=context.after(gradients[: len(outputs)], differentiable=differentiable),
        )

    def query_logits(self) -> Tensor:
        """Logits of the query samples, each with its task's adapted parameters."""
        with task_context(TaskContext(self.query, self.layers, recording=False)):
            return logits_of(self.model, with_copies(self.rows, self.own), self.copies.samples.query)

    @torch.no_grad()
    def movement(self) -> Movement:
        """Of the layers and of the copied rows, added up over tasks."""
        dense = {name: torch.zeros_like(self.model.get_parameter(name)) for name in self.targets.parameters}
        for layer, path in self.targets.packed.items():
            dense |= {f"{path}.{name}": moved for name, moved in self.layers[layer].movement().items()}
        moved = self.rows.index_select(0, self.copies.positions) - self.own
        return Movement(dense, torch.zeros_like(self.rows).index_add(0, self.copies.positions, moved))
