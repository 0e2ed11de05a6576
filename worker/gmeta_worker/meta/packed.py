"""The inner loop of all tasks at once: adaptive layers take low-rank steps, rows have packed copies."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from gmeta_worker.layers import Packing, Steps, TaskContext, task_context
from gmeta_worker.meta.adapter import InnerLoop
from gmeta_worker.meta.forward import logits_of, task_loss
from gmeta_worker.meta.rows import copy_rows, with_copies
from gmeta_worker.meta.samples import TaskSamples
from gmeta_worker.meta.targets import Targets


class PackedAdapter:
    """Adapts adaptive layers and rows for all tasks in one pass a step.

    Args:
        targets: what adapts; its layers are all adaptive layers.
    """

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    def parts(self, samples: TaskSamples) -> Iterable[TaskSamples]:
        """All tasks together."""
        return (samples,)

    def query_logits(self, model: nn.Module, rows: Tensor, samples: TaskSamples, loop: InnerLoop) -> Tensor:
        """Logits of the query samples, each with its task's adapted parameters."""
        support = Packing.of(samples.support.task, samples.tasks)
        query = Packing.of(samples.query.task, samples.tasks)
        copies = copy_rows(samples, self._targets.tables.to(rows.device))
        own = rows.index_select(0, copies.positions)
        steps: Steps = {}
        if len(samples.support):
            with torch.enable_grad():
                for _ in range(loop.steps):
                    own, steps = self._step(model, rows, own, copies.samples, support, steps, loop)
        with task_context(TaskContext(query, support, self._targets.layers, steps, recording=False)):
            return logits_of(model, with_copies(rows, own), copies.samples.query)

    def _step(
        self,
        model: nn.Module,
        rows: Tensor,
        own: Tensor,
        samples: TaskSamples,
        support: Packing,
        steps: Steps,
        loop: InnerLoop,
    ) -> tuple[Tensor, Steps]:
        """One gradient step of every task: (its copies of rows, the factors of its layers)."""
        own = own if own.requires_grad else own.requires_grad_()
        with task_context(TaskContext(support, support, self._targets.layers, steps, recording=True)) as context:
            logits = logits_of(model, with_copies(rows, own), samples.support)
        loss = task_loss(logits, samples.support, samples.tasks, loop.shrinkage)
        *by_call, by_row = torch.autograd.grad(
            loss,
            [*(call.output for call in context.calls), own],
            create_graph=loop.second_order,
            materialize_grads=True,
        )
        return own - loop.rate * by_row, context.steps_after(by_call, loop.rate, differentiable=loop.second_order)
