"""The task context: tells adaptive layers which samples belong to which task and what steps the tasks have taken."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod

from torch import Tensor, nn

from gmeta_api.errors import ModelError
from gmeta_worker.layers.inputs import LayerInput
from gmeta_worker.layers.packing import Packing
from gmeta_worker.layers.tasks import CallGradient, LayerCall, LayerTasks

AdaptedLayers = Mapping[nn.Module, LayerTasks]
"""The layers that adapt, in every task."""


class TaskContext:
    """What adaptive layers need to compute with each task's own parameters in one forward pass.

    Args:
        samples: packing of the samples that pass through the model.
        layers: the layers that adapt, with the steps they have taken; all others keep their shared parameters.
        recording: whether these are the support samples of an inner step, so that `after` can follow.
    """

    def __init__(self, samples: Packing, layers: AdaptedLayers, *, recording: bool) -> None:
        self._samples = samples
        self._layers = layers
        self._recording = recording
        self._calls: list[tuple[nn.Module, LayerCall]] = []

    def adapts(self, layer: nn.Module) -> bool:
        """Whether the layer has parameters of each task."""
        return layer in self._layers

    def output(self, layer: nn.Module, x: Tensor) -> Tensor:
        """The output of a layer that adapts, [n, ..., in] -> [n, ..., out].

        Raises:
            ModelError: `x` does not have a fixed number of rows for every sample.
        """
        per_sample = self._rows_per_sample(layer, x)
        rows = LayerInput(x.reshape(self._samples.samples * per_sample, x.shape[-1]), per_sample)
        h = self.output_of_rows(layer, rows)
        return h.view(*x.shape[:-1], h.shape[-1])

    def output_of_rows(self, layer: nn.Module, rows: LayerInput) -> Tensor:
        """The same for rows, [n * per_sample, in] -> [n * per_sample, out]."""
        h = self._layers[layer].output(rows, self._samples)
        if self._recording:
            self._calls.append((layer, LayerCall(rows, h)))
        return h

    @property
    def outputs(self) -> Sequence[Tensor]:
        """What the adapting layers gave, call by call; empty unless `recording`."""
        return [call.output for _, call in self._calls]

    def after(self, gradients: Sequence[Tensor], *, differentiable: bool) -> AdaptedLayers:
        """The layers after one more step.

        Args:
            gradients: dL/dh for each of `outputs`, where L adds up the tasks' losses.
            differentiable: whether the step is a function of what came before it, or a constant (first order).
        """
        calls = defaultdict(list)
        for (layer, call), gradient in zip(self._calls, gradients, strict=True):
            calls[layer].append(CallGradient(call, gradient))
        stepped = {
            layer: self._layers[layer].after(each, differentiable=differentiable) for layer, each in calls.items()
        }
        return {**self._layers, **stepped}

    def _rows_per_sample(self, layer: nn.Module, x: Tensor) -> int:
        if x.dim() < 2 or x.shape[0] != self._samples.samples:
            raise ModelError(
                f"{type(layer).__name__}: expected one leading row for each of the {self._samples.samples} samples, "
                f"received an input of shape {list(x.shape)}; keep the samples as the first dimension, because the "
                "inner loop must know the task of every row"
            )
        return prod(x.shape[1:-1])


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
