"""What an inner loop is, however it is computed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from gmeta_worker.meta.forward import known_counts
from gmeta_worker.meta.samples import Samples, TaskSamples
from gmeta_worker.meta.step_size import StepSizes
from gmeta_worker.meta.targets import Targets


@dataclass(frozen=True)
class InnerLoop:
    """Plain gradient steps on each task's support loss: its sum over samples divided by (their number + shrinkage).

    Of several labels, those that fewer samples have count as if the loss of each had been divided by (the number of
    samples that have it + shrinkage) instead.

    Attributes:
        steps: how many.
        rate: their learning rate.
        shrinkage: samples added to the divisor, so that few samples move the parameters less; 0 gives the mean.
        sizes: what each group of parameters makes of rate and shrinkage.
        second_order: whether the outer gradient goes through the inner gradients. If not, the inner gradients count as
            constants, so the gradient at the adapted parameters is taken as that of the original ones.
    """

    steps: int
    rate: float
    shrinkage: float
    sizes: StepSizes
    second_order: bool

    def step_sizes(self, counts: Tensor) -> dict[str, Tensor]:
        """By group what its gradient of the summed loss is multiplied by, [T], given each task's support samples."""
        return self.sizes.by_group(self.rate, self.shrinkage, counts)


@dataclass(frozen=True)
class Movement:
    """How far the inner loop has gone, summed over tasks: original minus adapted parameters.

    Attributes:
        dense: by name of the parameter, those that adapt.
        rows: [U, dim].
    """

    dense: Mapping[str, Tensor]
    rows: Tensor


class AdaptedTasks(Protocol):
    """Tasks after their inner loops."""

    def query_logits(self) -> Tensor:
        """Logits of the query samples with each task's own parameters, [n_query, L].

        Differentiable with respect to the model's parameters and the rows, unless gradients are off.
        """
        ...

    def movement(self) -> Movement:
        """From the adapted parameters back to the shared ones, without a graph."""
        ...


class Adapter(Protocol):
    """Runs inner loops."""

    @property
    def targets(self) -> Targets:
        """What adapts."""
        ...

    def parts(self, samples: TaskSamples) -> Iterable[TaskSamples]:
        """Tasks that are computed together; losses and gradients of the parts add up."""
        ...

    def adapt(self, model: nn.Module, rows: Tensor, samples: TaskSamples, loop: InnerLoop) -> AdaptedTasks:
        """Take the inner steps of a part's tasks on their support samples, from the model and `rows` [U, dim].

        With gradients off the inner loop still runs, and nothing of it is kept.
        """
        ...


def support_counts(support: Samples, tasks: int) -> Tensor:
    """Support samples of each task that have a label, [tasks], in the labels' type."""
    return support.task[support.labelled].bincount(minlength=tasks).to(support.labels.dtype)


def support_weights(support: Samples, tasks: int, shrinkage: float) -> Tensor:
    """What each label of each support sample counts in the loss of the inner loop, [n, L]; 1 where none is missing."""
    counts = support_counts(support, tasks).unsqueeze(1)
    return ((counts + shrinkage) / (known_counts(support, tasks) + shrinkage))[support.task]
