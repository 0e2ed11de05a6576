"""Fully connected layers with ReLU between them."""

from collections.abc import Sequence
from itertools import pairwise

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
        self._activations = len(self) - (0 if activate_last else 1)

    def forward(self, x: Tensor) -> Tensor:
        """[n, sizes[0]] -> [n, sizes[-1]]."""
        for number, layer in enumerate(self):
            x = layer(x)
            if number < self._activations:
                x = x.relu()
                x = dropout(x, self._dropout) if self.training else x
        return x
