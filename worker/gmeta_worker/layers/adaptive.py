"""Layers whose parameters the inner loop adapts for all tasks at once."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from gmeta_worker.layers.context import current_task_context
from gmeta_worker.layers.cost import Passes, Path, cheaper_path
from gmeta_worker.layers.inputs import LayerInput
from gmeta_worker.layers.lowrank import LowRankLinear
from gmeta_worker.layers.own import OwnLinear, OwnVectors
from gmeta_worker.layers.packing import Packing
from gmeta_worker.layers.tasks import LayerTasks


class AdaptiveLayer(nn.Module):
    """Base of the layers that consult the task context; without one they are ordinary layers."""

    def shared(self, x: Tensor) -> Tensor:
        """The output with the shared parameters."""
        raise NotImplementedError

    def path(self, passes: Passes) -> Path:
        """How its inner steps are computed."""
        raise NotImplementedError

    def in_tasks(self, support: Packing, scale: Tensor, passes: Passes) -> LayerTasks:
        """The layer in every task before the first inner step.

        Args:
            support: packing of the support samples.
            scale: [T], minus each task's step size.
            passes: of the inner loop.
        """
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name nn.Linear gives it
        """[n, ..., in] -> [n, ..., out]."""
        context = current_task_context()
        if context is None or not context.adapts(self):
            return self.shared(input)
        return context.output(self, input)


class AdaptiveLinear(AdaptiveLayer, nn.Linear):
    """`nn.Linear` that computes with each task's own weight inside a task context.

    Where that is cheaper the shared weight stays one matrix product over the packed samples of all tasks, and the inner
    steps enter as a low-rank correction (`gmeta_worker.layers.lowrank`); else each task has a weight of its own.
    """

    def shared(self, x: Tensor) -> Tensor:
        """As nn.Linear."""
        return nn.Linear.forward(self, x)

    def path(self, passes: Passes) -> Path:
        """By the multiplications that each takes, as if a sample were one row."""
        return cheaper_path(self.in_features, self.out_features, passes)

    def of_parts(self, parts: Sequence[Tensor]) -> Tensor:
        """The output for inputs [n, width each] side by side, those that may need a gradient first.

        Where the others need none, as rows in a first-order inner step, none is computed for them.
        """
        rows, context = LayerInput.side_by_side(parts), current_task_context()
        if context is None or not context.adapts(self):
            return rows.linear(self.weight, self.bias)
        return context.output_of_rows(self, rows)

    def in_tasks(self, support: Packing, scale: Tensor, passes: Passes) -> LayerTasks:
        """By its path."""
        low_rank = self.path(passes) == "low rank"
        return LowRankLinear(self, support, scale) if low_rank else OwnLinear(self, support, scale)


class AdaptiveVectors(AdaptiveLayer):
    """Base of layers h = base(x) * weight + bias by element, or base(x) + bias; a task's own are a vector or two."""

    weight: nn.Parameter | None
    bias: nn.Parameter

    def base(self, x: Tensor) -> Tensor:
        """What weight and bias are applied to, [n, ..., width]."""
        raise NotImplementedError

    def path(self, passes: Passes) -> Path:  # noqa: ARG002
        """A task's own vectors."""
        return "own weights"

    def in_tasks(self, support: Packing, scale: Tensor, passes: Passes) -> LayerTasks:  # noqa: ARG002
        """Vectors of each task."""
        return OwnVectors(self, support, scale)


class AdaptiveBias(AdaptiveVectors):
    """Adds a vector that each task adapts: a linear layer without inputs, zero at the start.

    Args:
        size: width of the last dimension.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = None
        self.bias = nn.Parameter(torch.zeros(size))

    def shared(self, x: Tensor) -> Tensor:
        """[n, ..., size] -> the same shape."""
        return x + self.bias

    def base(self, x: Tensor) -> Tensor:
        """The input itself."""
        return x


class AdaptiveLayerNorm(AdaptiveVectors):
    """Layer normalisation over the last dimension, with a weight and a bias that each task adapts.

    Args:
        size: width of the last dimension.
        eps: added to the variance.
    """

    def __init__(self, size: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))
        self._eps = eps

    def shared(self, x: Tensor) -> Tensor:
        """[n, ..., size] -> the same shape."""
        return layer_norm(x, self.bias.shape, self.weight, self.bias, self._eps)

    def base(self, x: Tensor) -> Tensor:
        """The normalised input."""
        return layer_norm(x, self.bias.shape, eps=self._eps)
