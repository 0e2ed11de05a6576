"""Steps of several sizes, measured by phase on one rank."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gmeta_worker.forecast.model import Work
from gmeta_worker.metaio import StepBatch
from gmeta_worker.training.components import Components
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.step import StepResult

SHARES = (0.25, 0.5, 1.0)
"""Of a step's tasks: three sizes tell what is fixed from what grows."""
REPEATS = 7


@dataclass(frozen=True)
class Measured:
    """A step as it was measured.

    Attributes:
        work: what there was to do.
        seconds: CPU seconds by phase, the median of some repeats.
    """

    work: Work
    seconds: dict[str, float]


def measure_steps(
    parts: Components,
    make_step: Callable[[PhaseClock], Callable[[StepBatch, int], StepResult]],
    batches: Sequence[StepBatch],
    number_bytes: int,
) -> list[Measured]:
    """Train on parts of some step batches, and tell what that took.

    Args:
        parts: of a rank that is alone. They are trained.
        make_step: makes the training step that tells its time to a clock.
        batches: that a rank has at full size.
        number_bytes: bytes of a row's number on its way between ranks.
    """
    clock = PhaseClock(time.process_time)
    step = make_step(clock)
    step(batches[0], 0)  # the first one pays for what is made once
    return [_measure(parts, step, clock, [_part(each, share) for each in batches], number_bytes) for share in SHARES]


def _measure(
    parts: Components,
    step: Callable[[StepBatch, int], StepResult],
    clock: PhaseClock,
    batches: Sequence[StepBatch],
    number_bytes: int,
) -> Measured:
    taken = [_timed(step, clock, batch) for batch in _around(batches)]
    works = [work_of(parts, batch, number_bytes) for batch in batches]
    phases = taken[0].keys()
    seconds = {phase: statistics.median(each[phase] for each in taken) for phase in phases}
    return Measured(_mean(works), seconds)


def _around(batches: Sequence[StepBatch]) -> Iterator[StepBatch]:
    for number in range(max(REPEATS, len(batches))):
        yield batches[number % len(batches)]


def _timed(step: Callable[[StepBatch, int], StepResult], clock: PhaseClock, batch: StepBatch) -> dict[str, float]:
    before = clock.seconds
    step(batch, 0)
    return {phase: total - before.get(phase, 0.0) for phase, total in clock.seconds.items()}


def _part(batch: StepBatch, share: float) -> StepBatch:
    return batch.slice(0, max(1, round(share * len(batch.support))))


def work_of(parts: Components, batch: StepBatch, number_bytes: int) -> Work:
    """What a batch gives a rank to do."""
    inputs = parts.assembler(batch)
    return Work(
        samples=len(batch.labels),
        keys=batch.keys.size + sum(len(ragged.values) for ragged in batch.multi),
        unique_rows=len(inputs.ids),
        dim=parts.store.lookup(inputs.ids[:0]).shape[1],
        number_bytes=number_bytes,
        dense_parameters=sum(each.numel() for each in parts.model.parameters()),
    )


def _mean(works: Sequence[Work]) -> Work:
    def mean(name: str) -> int:
        return round(statistics.fmean(getattr(work, name) for work in works))

    return Work(**{name: mean(name) for name in Work.__dataclass_fields__})
