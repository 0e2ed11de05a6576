"""Building blocks that are there for tasks to adapt: a vector of the task's own, and a wide linear head."""

import torch
from torch import Tensor, nn

from gmeta_worker.layers.adaptive import AdaptiveBias, AdaptiveLinear

START = 0.4
"""Deviation of a projection's initial weights: on valid users of MovieLens-1M worth 0.001 of AUC at 1 to 5 shots."""


class ContextVector(AdaptiveBias):
    """A vector that every task adapts (CAVIA, arXiv 1810.03642), the same for all samples of a task; zero at first.

    Args:
        size: its width.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[n, ...] -> [n, size]; of x only the number of samples, type and device matter."""
        return super().forward(x.new_zeros(x.shape[0], self.bias.shape[0]))


class WideHead(nn.Module):
    """One linear layer over learned projections of the features, for tasks to adapt; it starts at zero.

    The projection is shared by all tasks; adapting only `head` moves a task by a rank-one step a sample in the space
    that the projection has learned for it. Embedding rows start small, so the projection starts large.

    Args:
        inputs: width of the features.
        size: width of the projection.
        outputs: logits of a sample.
    """

    def __init__(self, inputs: int, size: int, outputs: int = 1) -> None:
        super().__init__()
        self.projection = nn.Linear(inputs, size)
        torch.nn.init.normal_(self.projection.weight, std=START)
        self.head = AdaptiveLinear(size, outputs, bias=False)
        torch.nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs] -> [n], or [n, outputs] of several."""
        logits: Tensor = self.head(self.projection(x))
        return logits.squeeze(1)
