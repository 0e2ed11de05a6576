"""One training step: one lookup, the algorithm's gradients, one optimiser step a row and one for the dense weights."""

from dataclasses import dataclass

import torch

from gmeta_api.errors import DivergedError
from gmeta_api.spec import OptimizerSpec
from gmeta_worker.metaio import StepBatch
from gmeta_worker.training.components import Components
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.schedule import learning_rate


@dataclass(frozen=True)
class StepResult:
    """What a step consumed and its mean outer loss."""

    loss: float
    tasks: int
    support: int
    query: int

    @property
    def samples(self) -> int:
        """Support and query rows together."""
        return self.support + self.query


class TrainingStep:
    """Applies step batches to the model and its rows (arXiv 2401.04338, the hybrid step, on one rank)."""

    def __init__(
        self, parts: Components, dense: DenseOptimizer, rates: OptimizerSpec, total_steps: int, clock: PhaseClock
    ) -> None:
        self._parts = parts
        self._dense = dense
        self._rates = rates
        self._total_steps = total_steps
        self._clock = clock

    def __call__(self, batch: StepBatch, step: int) -> StepResult:
        """Train on `batch` as the global step number `step`.

        Raises:
            DivergedError: the loss is not a number; nothing was updated.
        """
        parts, clock = self._parts, self._clock
        with clock.measure("input"):
            inputs = parts.assembler(batch)
        with clock.measure("lookup"):
            rows = parts.store.lookup(inputs.ids).requires_grad_()
        with clock.measure("gradients"):
            gradients = parts.algorithm.gradients(parts.model, rows, inputs.samples)
            weight = max(gradients.weight, 1.0)
            loss = float(gradients.loss) / weight
        if not torch.isfinite(torch.tensor(loss)):
            raise DivergedError(
                f"step {step}: the loss is {loss}; the last commit is intact. Lower spec.meta.inner.rate or "
                "spec.optimizer.*.rate, set spec.optimizer.dense.clipNorm, or look for extreme values in the data "
                "with `gmeta inspect`"
            )
        with clock.measure("update"):
            dense, sparse = self._rates.dense, self._rates.sparse
            mean = {name: gradient / weight for name, gradient in gradients.dense.items()}
            self._dense.step(mean, learning_rate(dense.rate, dense.schedule, step, self._total_steps))
            rate = learning_rate(sparse.rate, sparse.schedule, step, self._total_steps)
            parts.store.update(inputs.ids, gradients.rows / weight, rate)
        samples = inputs.samples
        return StepResult(loss, samples.tasks, len(samples.support.labels), len(samples.query.labels))
