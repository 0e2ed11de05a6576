"""From a job's events to records for TensorBoard. The same events always give the same bytes."""

import math
from collections.abc import Mapping

from gmeta_api.spec import Spec
from gmeta_worker.coordination.events import Event
from gmeta_worker.coordination.messages import Evaluation, Formed, MetricRow, Progress
from gmeta_worker.report.build import span_between
from gmeta_worker.tensorboard.records import restart_record, scalars_record, version_record
from gmeta_worker.training.schedule import learning_rate

MEASURES = ("auc", "gauc", "loss", "calibration", "calibration_error", "ndcg_5", "ndcg_10")


class ScalarEncoder:
    """Encodes events one after the other, from the job's first on.

    Args:
        spec: the job's; it gives the learning rates.
    """

    def __init__(self, spec: Spec) -> None:
        self._optimizer = spec.optimizer
        self._last: Event | None = None
        self._begun = False

    def encode(self, event: Event) -> bytes:
        """The records of an event; none for one without scalars."""
        time, message = event.time.timestamp(), event.message
        begin = b"" if self._begun else version_record(time)
        self._begun = True
        if isinstance(message, Formed):
            return begin + restart_record(time, message.commit.step + 1 if message.commit else 0)
        if isinstance(message, Progress):
            scalars = _finite(self._of_progress(event, message))
        elif isinstance(message, Evaluation):
            scalars = _finite(of_evaluation(message))
        else:
            return begin
        return begin + (scalars_record(time, message.step, scalars) if scalars else b"")

    def _of_progress(self, event: Event, message: Progress) -> dict[str, float]:
        last, self._last = self._last, event
        return {
            "train/loss": message.loss,
            "train/epoch": float(message.epoch),
            **{f"learning_rate/{name}": rate for name, rate in self._rates(message).items()},
            **_speed(last, event),
        }

    def _rates(self, message: Progress) -> dict[str, float]:
        """The rates of the last step."""
        step, total, optimizer = max(message.step - 1, 0), message.total_steps, self._optimizer
        return {
            "dense": learning_rate(optimizer.dense.rate, optimizer.dense.schedule, step, total),
            "sparse": learning_rate(optimizer.sparse.rate, optimizer.sparse.schedule, step, total),
        }


def _speed(last: Event | None, event: Event) -> dict[str, float]:
    span = span_between(last, event) if last else None
    if span is None:
        return {}
    return {
        "train/samples_per_second": span.samples / span.seconds,
        "train/tasks_per_second": span.tasks / span.seconds,
    }


def of_evaluation(message: Evaluation) -> dict[str, float]:
    """Every measure of every label, shot and mode; tags begin with the split, so that TensorBoard groups by it."""
    return {
        f"{message.split}_{measure}/{row.label}-{row.shot}-shot-{_mode(row)}": getattr(row, measure)
        for row in message.rows
        for measure in MEASURES
    }


def _mode(row: MetricRow) -> str:
    return "adapted" if row.adapted else "unadapted"


def _finite(scalars: Mapping[str, float]) -> dict[str, float]:
    return {tag: value for tag, value in scalars.items() if math.isfinite(value)}
