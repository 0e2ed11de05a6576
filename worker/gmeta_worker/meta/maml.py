"""MAML: the query loss after the inner loop, differentiated with respect to where the inner loop began."""

from torch import Tensor, nn

from gmeta_worker.meta.algorithm import Adapting, StepGradients, summed_gradients
from gmeta_worker.meta.forward import row_loss, task_loss
from gmeta_worker.meta.samples import TaskSamples


class Maml(Adapting):
    """MAML and its first-order form (arXiv 1703.03400), with embedding rows as in G-Meta (arXiv 2401.04338).

    By what adapts it is also ANIL (arXiv 1909.09157), CAVIA (1810.03642) and LiMAML (2403.00803); with learned step
    sizes Meta-SGD (1707.09835).
    """

    def gradients(self, model: nn.Module, rows: Tensor, samples: TaskSamples) -> StepGradients:
        """Gradients of the query loss, summed over tasks of their mean losses, or over query samples."""
        leaf = rows.detach().requires_grad_()
        losses = (self._query_loss(model, leaf, part) for part in self.loops.adapter.parts(samples) if len(part.query))
        counted = samples.query.task[samples.query.labelled]
        weight = int(counted.bincount().count_nonzero()) if self.loops.outer_loss == "tasks" else len(counted)
        return summed_gradients(model, leaf, losses, weight)

    def _query_loss(self, model: nn.Module, leaf: Tensor, part: TaskSamples) -> Tensor:
        logits = self.loops.adapter.adapt(model, leaf, part, self.loops.training).query_logits()
        if self.loops.outer_loss == "tasks":
            return task_loss(logits, part.query, part.tasks)
        return row_loss(logits, part.query)
