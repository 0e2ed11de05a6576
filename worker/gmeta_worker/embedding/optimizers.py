"""Row optimisers: one step on exactly the rows that a training step has touched."""

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor
from torch.linalg import vector_norm


class RowOptimizer(Protocol):
    """Says where rows of a table go; its state is a row of numbers for each row of the table."""

    def state_widths(self, dim: int) -> Mapping[str, int]:
        """Name of each state tensor and its numbers a row."""
        ...

    def change(self, grads: Tensor, state: Mapping[str, Tensor], rate: float, rows: Callable[[], Tensor]) -> Tensor:
        """What a step adds to the rows, [U, dim].

        Args:
            grads: [U, dim].
            state: [U, width] each; updated in place.
            rate: learning rate.
            rows: reads the rows, [U, dim], before the step. Most optimisers do not need them, and save the time.
        """
        ...


class Sgd:
    """Plain gradient steps."""

    def state_widths(self, dim: int) -> Mapping[str, int]:  # noqa: ARG002
        """None."""
        return {}

    def change(
        self,
        grads: Tensor,
        state: Mapping[str, Tensor],  # noqa: ARG002
        rate: float,
        rows: Callable[[], Tensor],  # noqa: ARG002
    ) -> Tensor:
        """-rate * g."""
        return grads * -rate


class RowWiseAdagrad:
    """Adagrad with one accumulator a row: the sum over steps of the row's mean squared gradient.

    For dim = 1 this is Adagrad. The form is that of FBGEMM's exact row-wise Adagrad.

    Args:
        eps: added to the root.
    """

    def __init__(self, eps: float = 1e-8) -> None:
        self._eps = eps

    def state_widths(self, dim: int) -> Mapping[str, int]:  # noqa: ARG002
        """One sum a row."""
        return {"sum": 1}

    def change(
        self,
        grads: Tensor,
        state: Mapping[str, Tensor],
        rate: float,
        rows: Callable[[], Tensor],  # noqa: ARG002
    ) -> Tensor:
        """-rate * g / (sqrt(sum) + eps)."""
        mean_square = vector_norm(grads, dim=1, keepdim=True).square_().div_(grads.shape[1])
        root = state["sum"].add_(mean_square).sqrt()
        return grads * (-rate / root.add_(self._eps))


class Adam:
    """Adam whose moments, and the step count of their bias correction, belong to the row.

    Differs from Adam on a dense table where a row is not touched: there the moments decay and the row moves on by
    momentum; here nothing happens to it. A row that is touched in every step gets exactly what dense Adam gives it.

    Args:
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        eps: added to the root.
    """

    def __init__(self, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        self._beta1 = beta1
        self._beta2 = beta2
        self._eps = eps

    def state_widths(self, dim: int) -> Mapping[str, int]:
        """Two moments a number, one count a row."""
        return {"first": dim, "second": dim, "steps": 1}

    def change(
        self,
        grads: Tensor,
        state: Mapping[str, Tensor],
        rate: float,
        rows: Callable[[], Tensor],  # noqa: ARG002
    ) -> Tensor:
        """One step of Adam (arXiv 1412.6980, algorithm 1)."""
        steps = state["steps"].add_(1)
        first = state["first"].lerp_(grads, 1 - self._beta1)
        second = state["second"].mul_(self._beta2).addcmul_(grads, grads, value=1 - self._beta2)
        divisor = second.div(1 - self._beta2**steps).sqrt_().add_(self._eps).mul_(1 - self._beta1**steps)
        return torch.div(first, divisor, out=divisor).mul_(-rate)


class Decayed:
    """Another optimiser's step with decoupled weight decay (arXiv 1711.05101); only touched rows decay.

    Args:
        optimizer: the other optimiser.
        decay: share of a row that a step of learning rate 1 takes away.
    """

    def __init__(self, optimizer: RowOptimizer, decay: float) -> None:
        self._optimizer = optimizer
        self._decay = decay

    def state_widths(self, dim: int) -> Mapping[str, int]:
        """The other optimiser's."""
        return self._optimizer.state_widths(dim)

    def change(self, grads: Tensor, state: Mapping[str, Tensor], rate: float, rows: Callable[[], Tensor]) -> Tensor:
        """The other optimiser's change - rate * decay * w."""
        return self._optimizer.change(grads, state, rate, rows).add_(rows(), alpha=-rate * self._decay)


def build_row_optimizer(name: str, weight_decay: float = 0.0) -> RowOptimizer:
    """The optimiser that the manifest calls `name`: RowWiseAdagrad, Adam or SGD."""
    optimizers: Mapping[str, Callable[[], RowOptimizer]] = {"RowWiseAdagrad": RowWiseAdagrad, "Adam": Adam, "SGD": Sgd}
    made = optimizers[name]()
    return Decayed(made, weight_decay) if weight_decay else made
