"""One pass of a model over packed samples, and the loss of its logits."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gmeta_worker.layers import RandomDraws, random_draws
from gmeta_worker.meta.precision import autocast
from gmeta_worker.meta.rows import stacked_rows
from gmeta_worker.meta.samples import Samples
from gmeta_worker.models import FeatureRows, Features, inputs_of


def model_arguments(model: nn.Module, table: Tensor, samples: Samples) -> tuple[Features, FeatureRows]:
    """What `model` is called with for `samples`, whose positions point into `table` [rows, dim]."""
    return Features(samples.numeric), FeatureRows(inputs_of(model).features, stacked_rows(table, samples))


def drawing(model: nn.Module, samples: Samples, draw: int) -> AbstractContextManager[None]:
    """Lets the model's dropout draw in training: for query samples with `draw` 0, then one for every inner step."""
    return random_draws(RandomDraws(samples.seeds, draw) if model.training else None)


def logits_of(model: nn.Module, table: Tensor, samples: Samples, draw: int = 0) -> Tensor:
    """Logits [n]."""
    with drawing(model, samples, draw), autocast(table.device):
        logits: Tensor = model(*model_arguments(model, table, samples))
    return logits


def task_loss(logits: Tensor, samples: Samples, tasks: int) -> Tensor:
    """Mean binary cross entropy of each task's samples, summed over tasks. In the labels' type."""
    weights = torch.bincount(samples.task, minlength=tasks).to(samples.labels.dtype).reciprocal()[samples.task]
    return binary_cross_entropy_with_logits(logits.to(samples.labels.dtype), samples.labels, weights, reduction="sum")


def row_loss(logits: Tensor, samples: Samples) -> Tensor:
    """Binary cross entropy summed over samples."""
    return binary_cross_entropy_with_logits(logits.to(samples.labels.dtype), samples.labels, reduction="sum")
