"""Inner steps of a linear layer as low-rank products: no task's weight is ever formed.

A gradient step on a weight W with task-local rows x_s and gradients d_s = dL/dh_s of the layer's outputs is
W' = W - size * sum_s d_s x_s^T. So W'x = Wx - size * sum_s d_s (x_s . x), and with a bias the dot product gains 1. The
factors (x_s, d_s) are all that a task needs. K steps are K times the factors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from gmeta_worker.layers.inputs import LayerInput
from gmeta_worker.layers.packing import Packing
from gmeta_worker.layers.tasks import CallGradient


@dataclass(frozen=True)
class Factors:
    """The steps a layer has taken in every task.

    Attributes:
        inputs: [tiles, steps * B, in], the rows x_s of the support.
        gradients: [tiles, steps * B, out], their d_s.
    """

    inputs: Tensor
    gradients: Tensor


@dataclass(frozen=True)
class LowRankLinear:
    """A linear layer after some steps.

    Attributes:
        layer: with the shared parameters.
        support: packing of the support samples.
        scale: [T], minus each task's step size.
        factors: of the steps, by the number of rows a sample.
    """

    layer: nn.Linear
    support: Packing
    scale: Tensor
    factors: Mapping[int, Factors] = field(default_factory=dict)

    def output(self, rows: LayerInput, samples: Packing) -> Tensor:
        """[n * per_sample, in] -> [n * per_sample, out]."""
        h = rows.linear(self.layer.weight, self.layer.bias)
        for per_support, taken in self.factors.items():
            pairs = samples.pairs(self.support, rows.per_sample, per_support)
            h = pairs.plus_product(h, rows.x, taken.inputs, taken.gradients, self.scale, self._constant)
        return h

    def after(self, calls: Sequence[CallGradient], *, differentiable: bool) -> "LowRankLinear":
        """With the step's factors beside those before it."""
        factors = dict(self.factors)
        for each in calls:
            rows = each.call.rows
            per_sample, layout = rows.per_sample, self.support.layout(rows.per_sample)
            inputs = rows.x if differentiable else rows.x.detach()
            step = Factors(layout.tile(inputs), layout.tile(each.gradient))
            factors[per_sample] = _joined(factors.get(per_sample), step, differentiable=differentiable)
        return replace(self, factors=factors)

    def movement(self) -> Mapping[str, Tensor]:
        """The steps as matrices: the only place that forms them."""
        moved: dict[str, Tensor] = {}
        for per_sample, taken in self.factors.items():
            tasks = torch.from_numpy(self.support.layout(per_sample).tasks).to(self.scale.device)
            changes = (taken.gradients * self.scale[tasks].view(-1, 1, 1)).flatten(0, 1)
            by_weight = changes.T @ taken.inputs.flatten(0, 1).to(changes.dtype)
            moved["weight"] = moved.get("weight", 0) - by_weight
            if self.layer.bias is not None:
                moved["bias"] = moved.get("bias", 0) - changes.sum(0)
        return moved

    @property
    def _constant(self) -> float:
        """A bias is a weight whose input is 1."""
        return 0.0 if self.layer.bias is None else 1.0


def _joined(before: Factors | None, step: Factors, *, differentiable: bool) -> Factors:
    """All steps so far; where a layer has the same inputs in every step, as the lowest does, their gradients add up."""
    if before is None:
        return step
    if not differentiable and torch.equal(before.inputs, step.inputs):
        return Factors(before.inputs, before.gradients + step.gradients)
    return Factors(torch.cat([before.inputs, step.inputs], 1), torch.cat([before.gradients, step.gradients], 1))
