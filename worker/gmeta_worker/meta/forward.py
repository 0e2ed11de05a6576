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
    """Logits [n, L]."""
    with drawing(model, samples, draw), autocast(table.device):
        logits: Tensor = model(*model_arguments(model, table, samples))
    return by_label(logits)


def by_label(logits: Tensor) -> Tensor:
    """A model's logits, [n] for one label or [n, L], as [n, L]."""
    return logits.unsqueeze(1) if logits.dim() == 1 else logits


def task_loss(logits: Tensor, samples: Samples, tasks: int) -> Tensor:
    """Each task's loss, summed over tasks: of each label the mean binary cross entropy of the samples that have it,
    these means added up by the labels' weights. In the labels' type.
    """
    return weighted_loss(logits, samples, known_counts(samples, tasks).reciprocal()[samples.task])


def row_loss(logits: Tensor, samples: Samples) -> Tensor:
    """Binary cross entropy of the known labels, each by its label's weight, summed over samples."""
    return weighted_loss(logits, samples, torch.ones_like(samples.labels))


def weighted_loss(logits: Tensor, samples: Samples, weights: Tensor) -> Tensor:
    """Binary cross entropy of the known labels, each by its label's weight and by `weights` [n, L], summed."""
    known = samples.known
    factors = torch.where(known, samples.label_weights * weights, 0)
    labels = torch.where(known, samples.labels, 0)
    return binary_cross_entropy_with_logits(logits.to(labels.dtype), labels, factors, reduction="sum")


def known_counts(samples: Samples, tasks: int) -> Tensor:
    """How many samples of each task have a label, [tasks, L], in the labels' type."""
    counts = samples.labels.new_zeros(tasks, samples.labels.shape[1])
    return counts.index_add(0, samples.task, samples.known.to(counts.dtype))
