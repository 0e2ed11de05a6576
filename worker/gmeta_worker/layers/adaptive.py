"""Layers whose parameters the inner loop adapts for all tasks at once."""

import torch
from torch import Tensor, nn

from gmeta_worker.layers.context import current_task_context


class AdaptiveLayer(nn.Module):
    """Base of the layers that consult the task context; without one they are ordinary layers."""


class AdaptiveLinear(AdaptiveLayer, nn.Linear):
    """`nn.Linear` that computes with each task's own weights inside a task context.

    The shared weight stays one matrix product over the packed samples of all tasks; a task's inner steps enter as a
    low-rank correction (see `gmeta_worker.layers.context`).
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name nn.Linear gives it
        """[n, ..., in_features] -> [n, ..., out_features]."""
        h = super().forward(input)
        context = current_task_context()
        return h if context is None else context.adapt(self, input, h, 0.0 if self.bias is None else 1.0)


class AdaptiveBias(AdaptiveLayer):
    """Adds a vector that each task adapts: a linear layer without inputs, zero at the start.

    Args:
        size: width of the last dimension.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        """[n, ..., size] -> the same shape."""
        h = x + self.bias
        context = current_task_context()
        return h if context is None else context.adapt(self, x[..., :0], h, 1.0)
