"""Layers that keep each task's own parameters: small matrices where low-rank steps cost more, and vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from gmeta_worker.layers.inputs import LayerInput
from gmeta_worker.layers.packing import Packing
from gmeta_worker.layers.tasks import CallGradient


@dataclass(frozen=True)
class OwnLinear:
    """A linear layer whose weight every task has after the first step: W' = W - size * sum_s d_s x_s^T.

    Attributes:
        layer: with the shared parameters.
        support: packing of the support samples.
        scale: [T], minus each task's step size.
        weight: [T, out, in]; None before the first step.
        bias: [T, 1, out]; None before the first step, or if the layer has none.
    """

    layer: nn.Linear
    support: Packing
    scale: Tensor
    weight: Tensor | None = None
    bias: Tensor | None = None

    def output(self, rows: LayerInput, samples: Packing) -> Tensor:
        """[n * per_sample, in] -> [n * per_sample, out]."""
        if self.weight is None:
            return rows.linear(self.layer.weight, self.layer.bias)
        layout = samples.layout(rows.per_sample)
        tiles, weight = layout.tile(rows.x), layout.of_tasks(self.weight).transpose(1, 2)
        if self.bias is None:
            return layout.untile(torch.bmm(tiles, weight))
        return layout.untile(torch.baddbmm(layout.of_tasks(self.bias), tiles, weight))

    def after(self, calls: Sequence[CallGradient], *, differentiable: bool) -> "OwnLinear":
        """One gradient step; the gradients of all calls add up."""
        tasks = len(self.scale)
        weight = self.layer.weight.expand(tasks, -1, -1) if self.weight is None else self.weight
        bias = self.bias
        if bias is None and self.layer.bias is not None:
            bias = self.layer.bias.expand(tasks, 1, -1)
        for each in calls:
            rows = each.call.rows
            layout = self.support.layout(rows.per_sample)
            inputs = layout.tile(rows.x if differentiable else rows.x.detach())
            changes = layout.tile(each.gradient) * layout.of_tasks(self.scale).view(-1, 1, 1)
            weight = layout.plus_by_task(weight, torch.bmm(changes.transpose(1, 2), inputs.to(changes.dtype)))
            bias = None if bias is None else layout.plus_by_task(bias, changes.sum(1, keepdim=True))
        return replace(self, weight=weight, bias=bias)

    def movement(self) -> Mapping[str, Tensor]:
        """Summed over tasks."""
        own = {"weight": (self.layer.weight, self.weight), "bias": (self.layer.bias, self.bias)}
        return {
            name: (shared - adapted).sum(0).view_as(shared)
            for name, (shared, adapted) in own.items()
            if adapted is not None
        }


class Elementwise(Protocol):
    """A layer h = base(x) * weight + bias by element; without a weight h = base(x) + bias."""

    @property
    def weight(self) -> nn.Parameter | None:
        """[width], or None."""
        ...

    @property
    def bias(self) -> nn.Parameter:
        """[width]."""
        ...

    def base(self, x: Tensor) -> Tensor:
        """What weight and bias are applied to, [n, width]; it has no parameters."""
        ...


@dataclass(frozen=True)
class OwnVectors:
    """An element-wise layer, whose vectors every task has: T times width numbers.

    Attributes:
        layer: with the shared parameters.
        support: packing of the support samples.
        scale: [T], minus each task's step size.
        vectors: [T, width] of `weight` and `bias`, those that the layer has; none before the first step.
    """

    layer: Elementwise
    support: Packing
    scale: Tensor
    vectors: Mapping[str, Tensor] = field(default_factory=dict)

    def output(self, rows: LayerInput, samples: Packing) -> Tensor:
        """[n * per_sample, width] -> the same shape."""
        task = samples.row_task(rows.per_sample)
        vectors = {name: own.index_select(0, task) for name, own in self.vectors.items()} or _shared(self.layer)
        base = self.layer.base(rows.x)
        return vectors["bias"] + (base * vectors["weight"] if "weight" in vectors else base)

    def after(self, calls: Sequence[CallGradient], *, differentiable: bool) -> "OwnVectors":
        """One gradient step; the gradients of all calls add up."""
        tasks = len(self.scale)
        vectors = dict(self.vectors) or {name: each.expand(tasks, -1) for name, each in _shared(self.layer).items()}
        for each in calls:
            rows = each.call.rows
            task = self.support.row_task(rows.per_sample)
            changes = each.gradient * self.scale.index_select(0, task).unsqueeze(1)
            vectors["bias"] = vectors["bias"].index_add(0, task, changes)
            if "weight" in vectors:
                base = self.layer.base(rows.x if differentiable else rows.x.detach())
                vectors["weight"] = vectors["weight"].index_add(0, task, changes * base)
        return replace(self, vectors=vectors)

    def movement(self) -> Mapping[str, Tensor]:
        """Summed over tasks."""
        shared = _shared(self.layer)
        return {name: (shared[name] - own).sum(0) for name, own in self.vectors.items()}


def _shared(layer: Elementwise) -> dict[str, Tensor]:
    vectors = {"weight": layer.weight, "bias": layer.bias}
    return {name: each for name, each in vectors.items() if each is not None}
