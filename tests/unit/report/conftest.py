from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gmeta_api.document import JobDocument
from gmeta_worker.checkpoint import FileEntry, Layout, Ledger, Score
from gmeta_worker.coordination.events import Event
from gmeta_worker.coordination.messages import (
    ClassRow,
    Evaluation,
    Finish,
    Formed,
    Member,
    MetricRow,
    Progress,
    ShardWritten,
)

START = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


class History:
    """Builds the events of a job, one after the other."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.attempt = 0
        self.generation = 0

    def _add(self, at: float, message: Any) -> "History":
        event = Event(at=at, time=START + timedelta(seconds=at), generation=self.generation, message=message)
        self.events.append(event)
        return self

    @property
    def _fence(self) -> dict[str, int]:
        return {"attempt": self.attempt, "generation": self.generation, "rank": 0}

    def formed(self, at: float, attempt: int = 0) -> "History":
        self.attempt, self.generation = attempt, self.generation + 1
        process = f"process-{self.generation}"
        member = Member(worker=0, process=process, host="h", port=1, first_rank=0, ranks=1)
        return self._add(at, Formed(attempt=attempt, generation=self.generation, members=(member,), commit=None))

    def progress(self, at: float, step: int, training: float, loss: float = 0.5, **seconds: float) -> "History":
        """`training` is split over two phases; 50 rows and 2 task batches a step."""
        phases = {"input": training / 4, "gradients": 3 * training / 4} | seconds
        return self._add(
            at,
            Progress(
                **self._fence,
                epoch=step // 10,
                step=step,
                total_steps=100,
                samples=50 * step,
                tasks=2 * step,
                loss=loss,
                seconds=phases,
                bytes_read=1000 * step,
                queue_depth=1,
                wait_seconds=training / 10,
            ),
        )

    def evaluation(
        self,
        at: float,
        step: int,
        split: str = "valid",
        auc: float = 0.6,
        labels: tuple[str, ...] = ("click",),
        **fields: Any,
    ) -> "History":
        """A second label's AUC is 0.1 below the first one's."""
        rows = tuple(
            MetricRow(
                label=label,
                shot=shot,
                adapted=adapted,
                auc=auc + adapted * 0.05 - place / 10,
                gauc=0.5,
                loss=0.6,
                calibration=1.1 + adapted,
                calibration_error=0.02 + adapted,
                ndcg_5=0.3 + adapted,
                ndcg_10=0.4 + adapted,
                tasks=7,
                rows=70,
            )
            for shot in (1, 10)
            for place, label in enumerate(labels)
            for adapted in (False, True)
        )
        classes = tuple(ClassRow(task_class=name, **row.model_dump()) for name in ("1-9", "100+") for row in rows)
        message = {"epoch": 0, "step": step, "split": split, "rows": rows, "classes": classes, "auc": auc} | fields
        return self._add(at, Evaluation(**self._fence, **message))

    def commit(self, at: float, step: int, score: float | None = None) -> "History":
        files = (
            FileEntry(path="dense", kind="dense", bytes=100, xxh3="0" * 16),
            FileEntry(path="rows", kind="rows", blocks=(0, 4096), bytes=2000, xxh3="0" * 16),
        )
        return self._add(
            at,
            ShardWritten(
                **self._fence,
                step=step,
                files=files,
                layout=Layout(dim=1, tables={}),
                ledger=Ledger(global_step=step),
                evaluation=None if score is None else Score(metric="auc", value=score),
            ),
        )

    def finish(self, at: float, outcome: Any = "succeeded", message: str = "all steps", code: int = 0) -> "History":
        return self._add(at, Finish(attempt=self.attempt, outcome=outcome, message=message, exit_code=code))


@pytest.fixture
def history() -> History:
    return History()


@pytest.fixture
def document() -> Callable[..., JobDocument]:
    def make(attempt: int = 0, name: str = "demo") -> JobDocument:
        return JobDocument.model_validate(
            {
                "job": {"name": name, "namespace": "default"},
                "attempt": attempt,
                "spec": {
                    "volumes": [{"name": "data", "emptyDir": {}}],
                    "data": {"volume": "data", "path": "movies"},
                    "checkpoint": {"volume": "data", "path": "run"},
                    "training": {"epochs": 10},
                },
            }
        )

    return make
