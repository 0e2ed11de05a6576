"""Which algorithm trains which steps: `spec.training.phases`, or the one algorithm of the job."""

from bisect import bisect_right
from dataclasses import dataclass

from gmeta_api.spec import PhaseSpec, Spec, TrainingSpec


@dataclass(frozen=True)
class PhasePlan:
    """The phases of a run, one after the other.

    Attributes:
        algorithms: of each phase.
        starts: global step at which each phase begins; the first is 0.
        total: steps of the whole run.
    """

    algorithms: tuple[str, ...]
    starts: tuple[int, ...]
    total: int

    def algorithm_at(self, step: int) -> str:
        """The algorithm of global step `step`, counted from 0."""
        return self.algorithms[bisect_right(self.starts, step) - 1]

    def judged(self, step: int) -> bool:
        """Whether the model after `step` steps is one that the last phase has trained: only these compete."""
        return step > self.starts[-1]


def plan_phases(spec: Spec, steps_per_epoch: int) -> PhasePlan:
    """Lay out a run whose passes over the training tasks have `steps_per_epoch` steps."""
    lengths = [_steps(part, steps_per_epoch) for part in spec.training.trained_phases or (spec.training,)]
    starts = tuple(sum(lengths[:number]) for number in range(len(lengths)))
    return PhasePlan(spec.algorithms, starts, sum(lengths))


def _steps(part: TrainingSpec | PhaseSpec, steps_per_epoch: int) -> int:
    if part.steps is not None:
        return part.steps
    assert part.epochs is not None, "a rule of the manifest holds this"
    return part.epochs * steps_per_epoch
