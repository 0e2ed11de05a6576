"""The run of one rank, in lockstep with the others: epochs of steps, evaluations, commits, a clean stop at any step."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from gmeta_api.spec import TrainingSpec
from gmeta_worker.checkpoint import Ledger
from gmeta_worker.metaio import StepBatch, StepReader
from gmeta_worker.training.early_stop import Metric, Progress, observe, should_stop
from gmeta_worker.training.evaluator import Score
from gmeta_worker.training.phase_plan import PhasePlan
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.step import StepResult

Item = TypeVar("Item")


class Stop(Enum):
    """Why the loop ended."""

    FINISHED = "every step was trained"
    EARLY = "no improvement on the valid tasks"
    INTERRUPTED = "asked to stop; committed"


@dataclass(frozen=True)
class Position:
    """What a commit holds beside the weights: how far the run is, and what early stopping remembers."""

    ledger: Ledger
    progress: Progress


@dataclass(frozen=True)
class LoopActions:
    """What the loop needs done; each is a side effect behind a plain function.

    What they return decides how the loop goes on, so it must be the same on every rank.

    Attributes:
        train: one training step, given its step batch, its global number and the step batch after it, if there is one.
        report: hears of every step.
        evaluate: scores the evaluation split, reports it, and returns its headline.
        commit: makes a commit of the current weights at a position; the value is that of the watched metric at this
            very step, or None if it was not evaluated.
    """

    train: Callable[[StepBatch, int, StepBatch | None], StepResult]
    report: Callable[[Ledger, StepResult], None]
    evaluate: Callable[[Ledger], Score]
    commit: Callable[[Position, float | None], None]


class TrainingLoop:
    """Runs steps from a position to the end."""

    def __init__(
        self,
        spec: TrainingSpec,
        every_steps: int,
        phases: PhasePlan,
        reader: StepReader,
        actions: LoopActions,
        clock: PhaseClock,
    ) -> None:
        self._spec = spec
        self._phases = phases
        self._commit_every = every_steps
        self._reader = reader
        self._do = actions
        self._clock = clock
        self._steps_per_epoch = reader.steps()
        self._committed_step = 0

    def run(self, position: Position) -> tuple[Position, Stop]:
        """Train from `position` until the last step, an early stop or an interruption; the end is committed.

        A run that was killed after its training has ended does not train again.
        """
        self._committed_step = position.ledger.global_step
        if should_stop(position.progress, self._spec.early_stop):
            return position, Stop.EARLY
        while position.ledger.global_step < self._phases.total:
            position, stop = self._epoch(position)
            if stop is not None:
                self._commit(position, None)
                return position, stop
        self._commit(position, None)
        return position, Stop.FINISHED

    def _epoch(self, position: Position) -> tuple[Position, Stop | None]:
        with self._reader.epoch(position.ledger.epoch, position.ledger.step) as batches:
            for batch, following in with_following(self._clock.measured("input", batches)):
                last = position.ledger.global_step + 1 >= self._phases.total
                result = self._do.train(batch, position.ledger.global_step, None if last else following)
                ledger = position.ledger.advance(
                    steps_per_epoch=self._steps_per_epoch, tasks=result.whole.tasks, samples=result.whole.samples
                )
                position = Position(ledger, position.progress)
                self._do.report(ledger, result)
                position, stop = (position, Stop.INTERRUPTED) if result.stop else self._after_step(position)
                if stop is not None or ledger.global_step >= self._phases.total:
                    return position, stop
        return position, None

    def _after_step(self, position: Position) -> tuple[Position, Stop | None]:
        step = position.ledger.global_step
        if evaluation_due(self._spec, step, self._steps_per_epoch, self._phases.total):
            position = self._evaluate(position)
            if should_stop(position.progress, self._spec.early_stop):
                return position, Stop.EARLY
        elif step % self._commit_every == 0:
            self._commit(position, None)
        return position, None

    def _evaluate(self, position: Position) -> Position:
        with self._clock.measure("evaluation"):
            score = self._do.evaluate(position.ledger)
        if not self._phases.judged(position.ledger.global_step):
            return position
        stop = self._spec.early_stop
        metric: Metric = stop.metric if stop else "auc"
        value = float(getattr(score, metric))
        progress, improved = observe(position.progress, metric, value, stop.min_delta if stop else 0.0)
        position = Position(position.ledger, progress)
        if improved:
            self._commit(position, value)
        return position

    def _commit(self, position: Position, value: float | None) -> None:
        """Commit unless this very step already is."""
        if position.ledger.global_step == self._committed_step:
            return
        with self._clock.measure("commit"):
            self._do.commit(position, value)
        self._committed_step = position.ledger.global_step


def with_following(items: Iterable[Item]) -> Iterator[tuple[Item, Item | None]]:
    """Each item with the one after it, which has been read when the item is worked on; None after the last.

    Where reading fails, it fails one item early. It has to: ranks whose reading goes well begin the next step during
    this one, and the rank that cannot must not go on without them.
    """
    iterator = iter(items)
    item = next(iterator, None)
    while item is not None:
        following = next(iterator, None)
        yield item, following
        item = following


def evaluation_due(spec: TrainingSpec, step: int, steps_per_epoch: int, total: int) -> bool:
    """Whether the evaluation split is scored after global step `step`, counted from 1; always after the last."""
    evaluation = spec.evaluation
    if step >= total:
        return True
    if evaluation.every_steps is not None:
        return step % evaluation.every_steps == 0
    every = evaluation.every_epochs or 1
    return step % (every * steps_per_epoch) == 0
