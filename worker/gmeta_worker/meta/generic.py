"""The inner loop of one task after another, for models with adapted parameters outside of adaptive layers."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gmeta_worker.meta.adapter import InnerLoop
from gmeta_worker.meta.forward import model_arguments, task_loss
from gmeta_worker.meta.rows import copy_rows, with_copies
from gmeta_worker.meta.samples import Samples, TaskSamples
from gmeta_worker.meta.targets import Targets


class GenericAdapter:
    """Adapts any parameters, at the price of a copy of them and of passes of its own for every task.

    Args:
        targets: what adapts.
    """

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    def parts(self, samples: TaskSamples) -> Iterable[TaskSamples]:
        """Each task alone, so that only one task's graph is alive."""
        return samples.one_by_one()

    def query_logits(self, model: nn.Module, rows: Tensor, samples: TaskSamples, loop: InnerLoop) -> Tensor:
        """Logits of one task's query samples with its adapted parameters."""
        copies = copy_rows(samples, self._targets.tables.to(rows.device))
        own = rows.index_select(0, copies.positions)
        weights: dict[str, Tensor] = {name: model.get_parameter(name) for name in self._targets.parameters}
        if len(samples.support):
            with torch.enable_grad():
                for _ in range(loop.steps):
                    own, weights = _step(model, rows, own, weights, copies.samples.support, loop)
        return _logits(model, with_copies(rows, own), weights, copies.samples.query)


def _step(
    model: nn.Module, rows: Tensor, own: Tensor, weights: Mapping[str, Tensor], support: Samples, loop: InnerLoop
) -> tuple[Tensor, dict[str, Tensor]]:
    own = own if own.requires_grad else own.requires_grad_()
    loss = task_loss(_logits(model, with_copies(rows, own), weights, support), support, 1, loop.shrinkage)
    *by_weight, by_row = torch.autograd.grad(
        loss, [*weights.values(), own], create_graph=loop.second_order, materialize_grads=True
    )
    changed = {
        name: weight - loop.rate * gradient for (name, weight), gradient in zip(weights.items(), by_weight, strict=True)
    }
    return own - loop.rate * by_row, changed


def _logits(model: nn.Module, table: Tensor, weights: Mapping[str, Tensor], samples: Samples) -> Tensor:
    logits: Tensor = functional_call(model, dict(weights), model_arguments(model, table, samples))
    return logits
