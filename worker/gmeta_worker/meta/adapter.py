"""What an inner loop is, however it is computed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from gmeta_worker.meta.samples import TaskSamples


@dataclass(frozen=True)
class InnerLoop:
    """Plain gradient steps on each task's support loss: its sum over samples divided by (their number + shrinkage).

    Attributes:
        steps: how many.
        rate: their learning rate.
        shrinkage: samples added to the divisor, so that few samples move the parameters less; 0 gives the mean.
        second_order: whether the outer gradient goes through the inner gradients. If not, what the steps have changed
            counts as a constant, so the gradient at the adapted parameters is taken as that of the original ones.
    """

    steps: int
    rate: float
    shrinkage: float
    second_order: bool


class Adapter(Protocol):
    """Computes query logits with each task's adapted parameters."""

    def parts(self, samples: TaskSamples) -> Iterable[TaskSamples]:
        """Tasks that are computed together; losses and gradients of the parts add up."""
        ...

    def query_logits(self, model: nn.Module, rows: Tensor, samples: TaskSamples, loop: InnerLoop) -> Tensor:
        """Logits of a part's query samples after the inner loop on its support, [n_query].

        Differentiable with respect to the model's parameters and `rows` [U, dim] unless gradients are off, in which
        case the inner loop still runs and nothing of it is kept.
        """
        ...
