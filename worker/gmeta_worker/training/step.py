"""One training step of all ranks: one lookup, the algorithm's gradients, one optimiser step a row and one for the dense
weights (arXiv 2401.04338, the hybrid step)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from gmeta_api.errors import DivergedError
from gmeta_api.spec import OptimizerSpec
from gmeta_worker.meta import forward_type
from gmeta_worker.metaio import StepBatch
from gmeta_worker.training.components import Components
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.part import Consumed
from gmeta_worker.training.phase_plan import PhasePlan
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.reduction import Reduction
from gmeta_worker.training.schedule import learning_rate


@dataclass(frozen=True)
class StepResult:
    """What a step did, the same on every rank but for `own`.

    Attributes:
        loss: mean outer loss of the whole step.
        stop: whether a rank was asked to stop.
        straggling: seconds that the ranks, in the mean, had to wait for the slowest one.
        whole: what all ranks together have trained on.
        own: what this rank has.
    """

    loss: float
    stop: bool
    straggling: float
    whole: Consumed
    own: Consumed


class TrainingStep:
    """Applies step batches to the model and its rows.

    Every rank calls it for the same steps; a rank without tasks takes part in every collective with nothing to say.

    Args:
        parts: the rank's parts.
        dense: the optimiser of its replica of the dense weights.
        rates: the job's learning rates.
        phases: which algorithm trains which steps.
        part: this rank's part of a step batch.
        stop: whether this rank was asked to stop.
        clock: where the time goes.
    """

    def __init__(
        self,
        parts: Components,
        dense: DenseOptimizer,
        rates: OptimizerSpec,
        phases: PhasePlan,
        part: Callable[[StepBatch], StepBatch],
        stop: Callable[[], bool],
        clock: PhaseClock,
    ) -> None:
        self._parts = parts
        self._dense = dense
        self._rates = rates
        self._phases = phases
        self._part = part
        self._stop = stop
        self._clock = clock
        self._worked = 0.0

    def __call__(self, batch: StepBatch, step: int) -> StepResult:
        """Train on this rank's part of `batch` as the global step number `step`.

        Raises:
            DivergedError: the loss is not a number, on all ranks alike; nothing was updated.
            PeerLostError: another rank is gone; nothing was updated.
        """
        parts, clock = self._parts, self._clock
        with clock.measure("input"):
            own = self._part(batch)
            inputs = parts.assembler(own)
        with clock.measure("lookup"):
            route = parts.exchange.route(inputs.ids)
            rows = route.fetch(parts.store.lookup)
        with clock.measure("gradients"):
            algorithm = parts.algorithms[self._phases.algorithm_at(step)]
            with forward_type(parts.forward_type):
                gradients = algorithm.gradients(parts.model, rows, inputs.samples)
        with clock.measure("exchange"):
            reduction = Reduction(parts.group, gradients, stop=self._stop(), worked=self._work_since())
            ids, row_sums = route.push(gradients.rows)  # while the dense gradients are on their way
            sums = reduction.wait()
        loss = sums.loss / sums.weight
        _require_finite(loss, step)
        with clock.measure("update"):
            dense, sparse = self._rates.dense, self._rates.sparse
            mean = {name: gradient / sums.weight for name, gradient in sums.dense.items()}
            self._dense.step(mean, learning_rate(dense.rate, dense.schedule, step, self._phases.total))
            rate = learning_rate(sparse.rate, sparse.schedule, step, self._phases.total)
            parts.store.update(ids, row_sums / sums.weight, rate)
        return StepResult(loss, sums.stop, sums.straggling, Consumed.of(batch), Consumed.of(own))

    def _work_since(self) -> float:
        """Seconds since the last step's exchange that differ from rank to rank because their work does."""
        seconds = self._clock.seconds
        worked = seconds.get("gradients", 0.0) + seconds.get("update", 0.0)
        before, self._worked = self._worked, worked
        return worked - before


def _require_finite(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise DivergedError(
            f"step {step}: the loss is {loss}; the last commit is intact. Lower spec.meta.inner.rate or "
            "spec.optimizer.*.rate, set spec.optimizer.dense.clipNorm, or look for extreme values in the data "
            "with `gmeta inspect`"
        )
