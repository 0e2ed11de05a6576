"""What the inner loop has made of a layer in every task, whichever way it is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from torch import Tensor

from gmeta_worker.layers.inputs import LayerInput
from gmeta_worker.layers.packing import Packing


@dataclass(frozen=True)
class LayerCall:
    """One call of an adapting layer on the support samples.

    Attributes:
        rows: the rows x_s.
        output: the adapted h, [n * per_sample, out], whose gradient is d_s.
    """

    rows: LayerInput
    output: Tensor


@dataclass(frozen=True)
class CallGradient:
    """A call and the gradient d_s of the tasks' summed losses with respect to its output, [n * per_sample, out]."""

    call: LayerCall
    gradient: Tensor


class LayerTasks(Protocol):
    """A layer's parameters in every task after some inner steps."""

    def output(self, rows: LayerInput, samples: Packing) -> Tensor:
        """The layer's output with each task's own parameters, [n * per_sample, out].

        Args:
            rows: [n * per_sample, in].
            samples: whose tasks the rows belong to.
        """
        ...

    def after(self, calls: Sequence[CallGradient], *, differentiable: bool) -> Self:
        """After one more gradient step on all tasks' losses.

        Args:
            calls: of the layer in the step's pass over the support.
            differentiable: whether the step is a function of what came before it, or a constant (first order).
        """
        ...

    def movement(self) -> Mapping[str, Tensor]:
        """Original minus adapted parameters, summed over tasks, by name; empty before the first step."""
        ...
