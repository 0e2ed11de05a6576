"""Reptile: move the shared parameters towards where the tasks' inner loops end."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from gmeta_worker.meta.adapter import Movement
from gmeta_worker.meta.algorithm import Adapting, StepGradients, trainable
from gmeta_worker.meta.forward import task_loss
from gmeta_worker.meta.samples import TaskSamples


class Reptile(Adapting):
    """Reptile (arXiv 1803.02999, batched form, section 2).

    Every task takes its inner steps on all of its samples, support and query alike, from the shared parameters phi to
    its own phi_t. The outer gradient is phi - phi_t, averaged over tasks, so that the outer optimiser with plain SGD of
    rate epsilon does phi + epsilon * mean(phi_t - phi). What does not adapt is not trained. There is no query loss;
    the reported loss is that of the same samples after the inner loop.
    """

    def gradients(self, model: nn.Module, rows: Tensor, samples: TaskSamples) -> StepGradients:
        """Original minus adapted parameters and rows, summed over tasks."""
        together = samples.support.merged(samples.query)
        whole = replace(samples, support=together, query=together)
        dense = {name: torch.zeros_like(parameter) for name, parameter in trainable(model).items()}
        by_row, loss = torch.zeros_like(rows), rows.new_zeros(())
        for movement, part_loss in self._moved(model, rows.detach(), whole):
            dense |= {name: dense[name] + moved for name, moved in movement.dense.items()}
            by_row, loss = by_row + movement.rows, loss + part_loss
        return StepGradients(loss, float(len(torch.unique(together.task[together.labelled]))), dense, by_row)

    @torch.no_grad()
    def _moved(self, model: nn.Module, rows: Tensor, samples: TaskSamples) -> Iterator[tuple[Movement, Tensor]]:
        for part in self.loops.adapter.parts(samples):
            if len(part.query):
                adapted = self.loops.adapter.adapt(model, rows, part, self.loops.training)
                yield adapted.movement(), task_loss(adapted.query_logits(), part.query, part.tasks)
