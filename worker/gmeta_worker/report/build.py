"""From a job's events to its report. Pure."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from gmeta_api.document import JobDocument
from gmeta_worker.coordination.events import Event
from gmeta_worker.coordination.goodput import account_of
from gmeta_worker.coordination.messages import Evaluation, Finish, Formed, Progress, ShardWritten
from gmeta_worker.report.model import (
    CommitPoint,
    CurvePoint,
    Ending,
    EvaluationPoint,
    Report,
    Setup,
    SpeedPoint,
    Throughput,
)

SHORTEST_SPAN_SECONDS = 0.001
"""Speed over less than that would be the clock's noise."""

NOT_TRAINING = frozenset({"evaluation", "commit"})
"""Phases that are no part of a step."""


@dataclass(frozen=True)
class Span:
    """Rows, task batches and training seconds, up to the time `at`."""

    at: float
    samples: int
    tasks: int
    seconds: float

    def since(self, before: "Span") -> "Span":
        """Return what came after `before`."""
        return Span(self.at, self.samples - before.samples, self.tasks - before.tasks, self.seconds - before.seconds)


Process = list[tuple[float, Progress]]
"""What one worker process has reported, and when; its running totals start at zero."""


def build_report(document: JobDocument, events: Sequence[Event]) -> Report:
    """Return the report of a job from everything that has happened to it, in order."""
    processes = _by_process(events)
    lasts = [process[-1][1] for process in processes]
    phases = _phases(lasts)
    training = sum(seconds for name, seconds in phases.items() if name not in NOT_TRAINING)
    rounds = [event.message for event in events if isinstance(event.message, Formed)]
    return Report(
        job=document.job,
        setup=_setup(document),
        ending=_ending(events, document.attempt),
        attempts=len({message.attempt for message in rounds}),
        restarts=max(0, len(rounds) - 1),
        wall_seconds=events[-1].at - events[0].at if events else 0.0,
        goodput=account_of(events).spent,
        training_seconds=training,
        phases=phases,
        bytes_read=sum(last.bytes_read for last in lasts),
        input_wait_share=sum(last.wait_seconds for last in lasts) / training if training else math.nan,
        curve=_curve(events),
        evaluations=_evaluations(events),
        throughput=_throughput(processes),
        commits=_commits(events),
    )


def _setup(document: JobDocument) -> Setup:
    spec = document.spec
    return Setup(
        dataset=f"{spec.data.volume}:{spec.data.path}",
        support=spec.data.support.model_dump(mode="json", by_alias=True, exclude_none=True),
        model=spec.model.type,
        algorithm=", then ".join(spec.algorithms),
        inner=spec.meta.inner.model_dump(mode="json", by_alias=True, exclude_none=True),
        tasks_per_step=spec.training.tasks_per_step,
        split=spec.training.evaluation.split,
        final_split=spec.training.evaluation.final_split,
    )


def _ending(events: Sequence[Event], attempt: int) -> Ending:
    for event in reversed(events):
        if isinstance(event.message, Finish) and event.message.attempt == attempt:
            finish = event.message
            return Ending(outcome=finish.outcome, message=finish.message, exit_code=finish.exit_code)
    return Ending(outcome="unfinished", message="The run has not ended, or was ended from outside.", exit_code=None)


def _by_process(events: Sequence[Event]) -> list[Process]:
    reports = [(event.at, event.message) for event in events if isinstance(event.message, Progress)]
    groups = groupby(reports, key=lambda timed: (timed[1].attempt, timed[1].generation))
    return [list(group) for _, group in groups]


def _phases(lasts: Sequence[Progress]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for last in lasts:
        total.update(last.seconds)
    return dict(total)


def _curve(events: Sequence[Event]) -> tuple[CurvePoint, ...]:
    """Return the points that count: steps after a commit are trained again after a restart, and so are their points."""
    points: list[CurvePoint] = []
    for event in events:
        message = event.message
        if isinstance(message, Progress):
            while points and points[-1].step >= message.step:
                points.pop()
            points.append(
                CurvePoint(
                    at=event.at,
                    epoch=message.epoch,
                    step=message.step,
                    samples=message.samples,
                    tasks=message.tasks,
                    loss=message.loss,
                )
            )
    return tuple(points)


def _evaluations(events: Sequence[Event]) -> tuple[EvaluationPoint, ...]:
    """Return the evaluations, the later one where a split was evaluated at the same step again."""
    points: dict[tuple[str, int], EvaluationPoint] = {}
    for event in events:
        message = event.message
        if isinstance(message, Evaluation):
            points.pop((message.split, message.step), None)
            points[message.split, message.step] = EvaluationPoint(
                at=event.at,
                epoch=message.epoch,
                step=message.step,
                split=message.split,
                rows=message.rows,
                classes=message.classes,
            )
    return tuple(points.values())


def _throughput(processes: Sequence[Process]) -> Throughput:
    spans = [span for number, process in enumerate(processes) for span in _spans(process, first=number == 0)]
    seconds = sum(span.seconds for span in spans)
    return Throughput(
        samples_per_second=sum(span.samples for span in spans) / seconds if seconds else math.nan,
        tasks_per_second=sum(span.tasks for span in spans) / seconds if seconds else math.nan,
        points=tuple(
            SpeedPoint(
                at=span.at, samples_per_second=span.samples / span.seconds, tasks_per_second=span.tasks / span.seconds
            )
            for span in spans
        ),
    )


def _spans(process: Process, *, first: bool) -> Iterator[Span]:
    """Yield what happened between the reports of a process; the job's first process began with nothing consumed."""
    marks = [Span(at, progress.samples, progress.tasks, _training_seconds(progress)) for at, progress in process]
    for before, after in pairwise([Span(0.0, 0, 0, 0.0), *marks] if first else marks):
        if after.seconds - before.seconds >= SHORTEST_SPAN_SECONDS and after.samples >= before.samples:
            yield after.since(before)


def span_between(before: Event, after: Event) -> Span | None:
    """Return what was trained between two reports of progress; None if they are of different processes."""
    spans = (span for process in _by_process([before, after]) for span in _spans(process, first=False))
    return next(spans, None)


def _training_seconds(progress: Progress) -> float:
    return sum(seconds for name, seconds in progress.seconds.items() if name not in NOT_TRAINING)


def _commits(events: Sequence[Event]) -> tuple[CommitPoint, ...]:
    return tuple(
        CommitPoint(
            at=event.at,
            attempt=event.message.attempt,
            step=event.message.step,
            bytes=sum(file.bytes for file in event.message.files),
            files=len(event.message.files),
            evaluation=event.message.evaluation,
        )
        for event in events
        if isinstance(event.message, ShardWritten)
    )
