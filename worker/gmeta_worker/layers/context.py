"""The task context: tells adaptive layers which rows belong to which task and what steps the tasks have taken.

A gradient step on a linear layer's weight W with task-local rows x_s and gradients d_s = dL/dh_s of the layer's outputs
is W' = W - rate * sum_s d_s x_s^T. So W'x = Wx - rate * sum_s d_s (x_s . x), and with a bias the dot product gains 1.
The factors (x_s, d_s) are all that a task needs: neither its weights nor its weight gradient is ever formed. K steps
are K times the factors.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gmeta_api.errors import ModelError
from gmeta_worker.layers.tiles import Ints, TileLayout, TilePairs, make_layout, make_pairs, tile_height


class Packing:
    """Samples of several tasks, one task after another; makes each tile plan once, for all layers and inner steps.

    A layer may see a fixed number of rows for every sample ([n, fields, width]); each such number has its own layout.

    Args:
        lengths: int64[T], samples of each task.
        device: where the samples are.
    """

    def __init__(self, lengths: Ints, device: torch.device) -> None:
        self._lengths = lengths
        self._device = device
        self._layouts: dict[int, TileLayout] = {}
        self._pairs: dict[tuple[Packing | None, int, int], TilePairs] = {}
        self.samples = int(lengths.sum())

    @classmethod
    def of(cls, task: Tensor, tasks: int) -> "Packing":
        """The packing of samples whose tasks are `task`, int64[n] ascending in [0, tasks)."""
        return cls(np.bincount(task.cpu().numpy(), minlength=tasks).astype(np.int64), task.device)

    def layout(self, per_sample: int) -> TileLayout:
        """The tiles of `per_sample` rows a sample."""
        if per_sample not in self._layouts:
            lengths = self._lengths * per_sample
            self._layouts[per_sample] = make_layout(lengths, tile_height(lengths), self._device)
        return self._layouts[per_sample]

    def pairs(self, right: "Packing", per_left: int, per_right: int) -> TilePairs:
        """Tiles of this packing (left) with those of `right` of the same task."""
        key = (None if right is self else right, per_left, per_right)  # a cycle would outlive the step
        if key not in self._pairs:
            self._pairs[key] = make_pairs(self.layout(per_left), right.layout(per_right), self._device)
        return self._pairs[key]


@dataclass(frozen=True)
class LayerCall:
    """One call of an adaptive layer on the support samples.

    Attributes:
        layer: which layer.
        per_sample: rows it saw for every sample.
        inputs: [tiles, B, in], the rows x_s.
        output: the adapted h, whose gradient is d_s.
    """

    layer: nn.Module
    per_sample: int
    inputs: Tensor
    output: Tensor


@dataclass(frozen=True)
class Factors:
    """The steps a layer has taken in every task.

    Attributes:
        inputs: [tiles, steps * B, in], the rows x_s of the support.
        changes: [tiles, steps * B, out], minus the rate times d_s.
    """

    inputs: Tensor
    changes: Tensor


Steps = Mapping[tuple[nn.Module, int], Factors]
"""Factors of each layer and number of rows a sample."""


class TaskContext:
    """What adaptive layers need to compute with each task's own weights in one forward pass.

    Args:
        samples: packing of the samples that pass through the model.
        support: packing of the support samples, to which `steps` refer.
        layers: the layers that adapt; all others keep their shared weights.
        steps: the inner steps taken so far.
        recording: whether these are the support samples of an inner step, so that `steps_after` can follow.

    Attributes:
        calls: what the adapting layers saw; empty unless `recording`.
    """

    def __init__(
        self, samples: Packing, support: Packing, layers: Collection[nn.Module], steps: Steps, *, recording: bool
    ) -> None:
        self._samples = samples
        self._support = support
        self._layers = layers
        self._steps = steps
        self._recording = recording
        self.calls: list[LayerCall] = []

    def adapt(self, layer: nn.Module, x: Tensor, h: Tensor, constant: float) -> Tensor:
        """Turn the output with shared weights into the one with each task's weights.

        Args:
            layer: the calling layer.
            x: [n, ..., in], its input.
            h: [n, ..., out], its output with the shared weights.
            constant: 1 if the layer has a bias, which is a weight whose input is 1; else 0.

        Raises:
            ModelError: `x` does not have a fixed number of rows for every sample.
        """
        if layer not in self._layers:
            return h
        per_sample = self._rows_per_sample(layer, x)
        inputs = self._samples.layout(per_sample).tile(x.reshape(self._samples.samples * per_sample, x.shape[-1]))
        for (owner, per_support), taken in self._steps.items():
            if owner is layer:
                pairs = self._samples.pairs(self._support, per_sample, per_support)
                h = h + pairs.product(inputs, taken.inputs, taken.changes, constant).view_as(h)
        if self._recording:
            self.calls.append(LayerCall(layer, per_sample, inputs, h))
        return h

    def steps_after(
        self, gradients: Sequence[Tensor], sizes: Mapping[nn.Module, Tensor], *, differentiable: bool
    ) -> Steps:
        """The steps so far and one more.

        Args:
            gradients: dL/dh for the output of each of `calls`, where L adds up the tasks' losses.
            sizes: of a layer's step for each sample, [n]: what the gradient is multiplied by.
            differentiable: whether the step is a function of what came before it, or a constant (first order).
        """
        steps = dict(self._steps)
        for call, gradient in zip(self.calls, gradients, strict=True):
            layout = self._support.layout(call.per_sample)
            size = sizes[call.layer].repeat_interleave(call.per_sample).unsqueeze(1)
            changes = layout.tile(gradient.reshape(layout.rows, gradient.shape[-1]) * -size)
            inputs = call.inputs if differentiable else call.inputs.detach()
            key = (call.layer, call.per_sample)
            steps[key] = _joined(steps.get(key), Factors(inputs, changes), differentiable=differentiable)
        return steps

    def _rows_per_sample(self, layer: nn.Module, x: Tensor) -> int:
        if x.dim() < 2 or x.shape[0] != self._samples.samples:
            raise ModelError(
                f"{type(layer).__name__}: expected one leading row for each of the {self._samples.samples} samples, "
                f"received an input of shape {list(x.shape)}; keep the samples as the first dimension, because the "
                "inner loop must know the task of every row"
            )
        return int(np.prod(x.shape[1:-1]))


def _joined(before: Factors | None, step: Factors, *, differentiable: bool) -> Factors:
    """All steps so far; where a layer has the same inputs in every step, as the lowest does, their changes add up."""
    if before is None:
        return step
    if not differentiable and torch.equal(before.inputs, step.inputs):
        return Factors(before.inputs, before.changes + step.changes)
    return Factors(torch.cat([before.inputs, step.inputs], 1), torch.cat([before.changes, step.changes], 1))


_active: ContextVar[TaskContext | None] = ContextVar("gmeta_task_context", default=None)


def current_task_context() -> TaskContext | None:
    """The context of the forward pass that is running, or None outside of meta-learning."""
    return _active.get()


@contextmanager
def task_context(context: TaskContext) -> Iterator[TaskContext]:
    """Let adaptive layers consult `context` inside the block."""
    token = _active.set(context)
    try:
        yield context
    finally:
        _active.reset(token)
