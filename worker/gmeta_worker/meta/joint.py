"""Ordinary training of the same model: the yardstick."""

from torch import Tensor, nn

from gmeta_worker.meta.algorithm import Adapting, StepGradients, summed_gradients
from gmeta_worker.meta.forward import logits_of, row_loss
from gmeta_worker.meta.samples import TaskSamples


class Joint(Adapting):
    """Ordinary training on every sample, support or query; tasks play no part."""

    def gradients(self, model: nn.Module, rows: Tensor, samples: TaskSamples) -> StepGradients:
        """Gradients of the loss summed over support and query samples."""
        leaf = rows.detach().requires_grad_()
        together = samples.support.beside(samples.query)
        losses = (row_loss(logits_of(model, leaf, part), part) for part in (together,) if len(part))
        return summed_gradients(model, leaf, losses, weight=int(together.labelled.sum()))
