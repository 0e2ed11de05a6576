"""One training step of all ranks: one lookup, the algorithm's gradients, one optimiser step a row and one for the dense
weights (arXiv 2401.04338, the hybrid step)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from gmeta_api.errors import DivergedError
from gmeta_api.spec import OptimizerSpec
from gmeta_worker.meta import forward_type
from gmeta_worker.metaio import StepBatch
from gmeta_worker.parallel import PendingRoute
from gmeta_worker.training.components import Components
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.inputs import StepInputs
from gmeta_worker.training.part import Consumed
from gmeta_worker.training.phase_plan import PhasePlan
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.reduction import GlobalSums, Reduction
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


@dataclass(frozen=True)
class _Begun:
    """A step that has been begun: its samples are packed, and its ids are on their way to the owners of their rows."""

    batch: StepBatch
    own: StepBatch
    inputs: StepInputs
    route: PendingRoute


class TrainingStep:
    """Applies step batches to the model and its rows.

    Every rank calls it for the same steps; a rank without tasks takes part in every collective with nothing to say.
    Of the step after, everything is done ahead that does not depend on this one's update: its samples are packed and
    its ids travel to their owners while this step computes. Rows are read after the update.

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
        self._ahead: _Begun | None = None

    def __call__(self, batch: StepBatch, step: int, following: StepBatch | None = None) -> StepResult:
        """Train on this rank's part of `batch` as the global step number `step`.

        Args:
            batch: the step's, or the one that was `following` in the last call.
            step: global number of the step.
            following: the batch of the next call, on every rank or on none; where the run may end with this step it
                is simply never trained on.

        Raises:
            DivergedError: the loss is not a number, on all ranks alike; nothing was updated.
            PeerLostError: another rank is gone; nothing was updated.
        """
        parts, clock = self._parts, self._clock
        begun = self._ahead or self._begin(batch)
        assert begun.batch is batch, "what was begun ahead is the next step"
        self._ahead = None if following is None else self._begin(following)
        with clock.measure("lookup"):
            route = begun.route.arrived()
            rows = route.fetch(parts.store.lookup)
            if self._ahead is not None:
                self._ahead.route.send_ids()
        with clock.measure("gradients"):
            algorithm = parts.algorithms[self._phases.algorithm_at(step)]
            with forward_type(parts.forward_type):
                gradients = algorithm.gradients(parts.model, rows, begun.inputs.samples)
        with clock.measure("exchange"):
            reduction = Reduction(parts.group, gradients, stop=self._stop(), worked=self._work_since())
            ids, row_sums = route.push(gradients.rows)  # while the dense gradients are on their way
            sums = reduction.wait()
        loss = sums.loss / sums.weight
        _require_finite(loss, step)
        with clock.measure("update"):
            self._update(ids, row_sums, sums, step)
        return StepResult(loss, sums.stop, sums.straggling, Consumed.of(batch), Consumed.of(begun.own))

    def _begin(self, batch: StepBatch) -> _Begun:
        """Do what needs no row of this step."""
        with self._clock.measure("input"):
            own = self._part(batch)
            inputs = self._parts.assembler(own)
        with self._clock.measure("lookup"):
            return _Begun(batch, own, inputs, self._parts.exchange.begin(inputs.ids))

    def _update(self, ids: Tensor, row_sums: Tensor, sums: GlobalSums, step: int) -> None:
        """One optimiser step of the dense weights, and one of each row, with the mean gradients."""
        dense, sparse = self._rates.dense, self._rates.sparse
        mean = {name: gradient.div_(sums.weight) for name, gradient in sums.dense.items()}
        self._dense.step(mean, learning_rate(dense.rate, dense.schedule, step, self._phases.total))
        rate = learning_rate(sparse.rate, sparse.schedule, step, self._phases.total)
        self._parts.store.update(ids, row_sums.div_(sums.weight), rate)

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
