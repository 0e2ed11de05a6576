"""The step's one AllReduce: loss, weight, wishes to stop, each rank's seconds of work and all dense gradients in one
flat tensor."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gmeta_worker.meta import StepGradients
from gmeta_worker.parallel import Group

_HEADER = 3


@dataclass(frozen=True)
class GlobalSums:
    """Sums over all ranks, the same bits on each.

    Attributes:
        loss: of the outer losses.
        weight: what a mean divides by; at least 1.
        stop: whether a rank was asked to stop.
        straggling: seconds that the ranks, in the mean, have less to do than the slowest one.
        dense: of the gradients, by parameter.
    """

    loss: float
    weight: float
    stop: bool
    straggling: float
    dense: dict[str, Tensor]


class Reduction:
    """The sum over ranks of what each has computed; it begins at once and is waited for later.

    Args:
        group: the ranks.
        gradients: of this rank's tasks.
        stop: whether this rank was asked to stop.
        worked: seconds that this rank has worked since its last reduction.
    """

    def __init__(self, group: Group, gradients: StepGradients, *, stop: bool, worked: float = 0.0) -> None:
        self._shapes = {name: gradient.shape for name, gradient in gradients.dense.items()}
        weight, asked = gradients.rows.new_tensor([gradients.weight, float(stop)]).unbind()
        header = torch.stack([gradients.loss.to(weight.dtype), weight, asked])
        seconds = header.new_zeros(group.size)
        seconds[group.rank] = worked
        self._ranks = group.size
        self._flat = torch.cat([header, seconds, *(gradient.reshape(-1) for gradient in gradients.dense.values())])
        self._handle = group.all_reduce(self._flat)

    def wait(self) -> GlobalSums:
        """The sums, once every rank has given its part."""
        self._handle.wait()
        gradients = self._flat[_HEADER + self._ranks :]
        loss, weight, asked, *worked = self._flat[: _HEADER + self._ranks].tolist()
        straggling = max(worked) - sum(worked) / self._ranks
        pieces = gradients.split([shape.numel() for shape in self._shapes.values()])
        dense = {name: piece.view(shape) for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)}
        return GlobalSums(loss, max(weight, 1.0), asked > 0, straggling, dense)
