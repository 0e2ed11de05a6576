"""Fully connected layers with ReLU between them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from gmeta_worker.layers.adaptive import AdaptiveLinear
from gmeta_worker.layers.dropout import dropout


class MLP(nn.ModuleList):
    """Adaptive linear layers named `0`, `1`, ... with ReLU between them.

    Args:
        sizes: widths from the input to the output; one layer for each pair of neighbours.
        activate_last: whether ReLU follows the last layer too.
        dropout: share of the activated outputs that training drops.
    """

    def __init__(self, sizes: Sequence[int], *, activate_last: bool, dropout: float = 0.0) -> None:
        super().__init__(AdaptiveLinear(width, following) for width, following in pairwise(sizes))
        self._dropout = dropout
        self._activate_last = activate_last

    def forward(self, x: Tensor | Sequence[Tensor]) -> Tensor:
        """[n, sizes[0]], or parts of it side by side (`AdaptiveLinear.of_parts`) -> [n, sizes[-1]]."""
        first, *others = self
        h: Tensor = first(x) if isinstance(x, Tensor) else cast("AdaptiveLinear", first).of_parts(x)
        for layer in others:
            h = layer(self._activated(h))
        return self._activated(h) if self._activate_last else h

    def _activated(self, h: Tensor) -> Tensor:
        h = h.relu()
        return dropout(h, self._dropout) if self.training else h
