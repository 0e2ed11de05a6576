"""What a run tells while it runs: Prometheus metrics every step, messages to the coordinator about once a second."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from gmeta_worker.checkpoint import Ledger
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.messages import ClassRow, Evaluation, MetricRow, Progress
from gmeta_worker.metaio import StepReader
from gmeta_worker.metrics import WorkerMetrics
from gmeta_worker.training.evaluator import Score, SplitScores
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.step import StepResult

REPORT_SECONDS = 1.0


@dataclass(frozen=True)
class Sender:
    """Who a message is from; the coordinator refuses what an older attempt or generation sends."""

    attempt: int
    generation: int
    rank: int

    @property
    def fence(self) -> dict[str, int]:
        """The fields that every message of a member carries."""
        return asdict(self)


class Reporter:
    """Sends a run's progress to the metrics endpoint and, for all ranks, from rank 0 to the coordinator."""

    def __init__(
        self,
        client: CoordinatorClient,
        sender: Sender,
        metrics: WorkerMetrics,
        clock: PhaseClock,
        reader: StepReader,
        total_steps: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._sender = sender
        self._leads = sender.rank == 0
        self._metrics = metrics
        self._clock = clock
        self._reader = reader
        self._total_steps = total_steps
        self._now = now
        self._next_report = 0.0
        self._straggler_seconds = 0.0

    def step(self, ledger: Ledger, result: StepResult) -> None:
        """After every step; the coordinator hears of it when its last news is old enough, and of the last step."""
        own = result.own
        self._straggler_seconds += result.straggling
        self._metrics.step(tasks=own.tasks, support=own.support, query=own.query, loss=result.loss, epoch=ledger.epoch)
        if self._now() >= self._next_report or ledger.global_step == self._total_steps:
            self._next_report = self._now() + REPORT_SECONDS
            self._progress(ledger, result.loss)

    def evaluation(self, ledger: Ledger, split: str, scores: SplitScores, whole: Score) -> None:
        """Scores of a split, and the one that stands for the whole: the same on all ranks, told once."""
        if not self._leads:
            return
        rows = tuple(MetricRow(**asdict(score)) for score in scores.whole)
        self._metrics.evaluation(split, rows)
        self._client.evaluation(
            Evaluation(
                **self._sender.fence,
                epoch=ledger.epoch,
                step=ledger.global_step,
                split=split,
                rows=rows,
                classes=tuple(ClassRow(task_class=name, **asdict(score)) for name, score in scores.by_class),
                auc=whole.auc,
            )
        )

    def _progress(self, ledger: Ledger, loss: float) -> None:
        reader, seconds = self._reader, self._clock.seconds
        self._metrics.phases(seconds)
        self._metrics.input(reader.bytes_read, reader.queue_depth, reader.wait_seconds)
        if not self._leads:
            return
        self._client.progress(
            Progress(
                **self._sender.fence,
                epoch=ledger.epoch,
                step=ledger.global_step,
                total_steps=self._total_steps,
                samples=ledger.samples,
                tasks=ledger.tasks,
                loss=loss,
                seconds=seconds,
                bytes_read=reader.bytes_read,
                queue_depth=reader.queue_depth,
                wait_seconds=reader.wait_seconds,
                straggler_seconds=self._straggler_seconds,
            )
        )
