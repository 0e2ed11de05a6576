from collections.abc import Callable
from typing import Any

import pytest

from gmeta_api.document import JobDocument
from gmeta_worker.checkpoint import FileEntry, Layout, Ledger, Table
from gmeta_worker.coordination.messages import (
    Beat,
    Evaluation,
    Export,
    Finish,
    Formed,
    Join,
    Leave,
    Member,
    MetricRow,
    Progress,
    ShardWritten,
)

LAYOUT = Layout(dim=4, tables={"movie": Table(rows=10, vocabulary="hash")})


def digest(variant: int) -> str:
    return f"{variant:016x}"


class Messages:
    """Builds valid messages of attempt 0, generation 1, rank 0; every field can be given."""

    def join(self, process: str = "process-a", worker: int = 0, **fields: Any) -> Join:
        place = {"attempt": 0, "worker": worker, "process": process, "host": f"host-{worker}", "port": 7000 + worker}
        return Join(**(place | {"ranks": 1} | fields))

    def beat(self, process: str = "process-a", generation: int = 1, **fields: Any) -> Beat:
        return Beat(**({"attempt": 0, "generation": generation, "process": process} | fields))

    def leave(self, process: str = "process-a", **fields: Any) -> Leave:
        return Leave(**({"attempt": 0, "process": process} | fields))

    def member(self, process: str = "process-a", worker: int = 0, first_rank: int = 0) -> Member:
        place = {"worker": worker, "process": process, "host": f"host-{worker}", "port": 7000 + worker}
        return Member(**place, first_rank=first_rank, ranks=1)

    def formed(self, generation: int = 1, **fields: Any) -> Formed:
        defaults = {"attempt": 0, "generation": generation, "members": (self.member(),), "commit": None}
        return Formed(**(defaults | fields))

    def progress(self, step: int = 1, **fields: Any) -> Progress:
        defaults = {
            "attempt": 0,
            "generation": 1,
            "rank": 0,
            "epoch": 0,
            "step": step,
            "total_steps": 100,
            "samples": 50 * step,
            "tasks": 2 * step,
            "loss": 0.5,
            "seconds": {"input": 0.01 * step, "gradients": 0.09 * step},
            "bytes_read": 1000 * step,
            "queue_depth": 3,
            "wait_seconds": 0.01 * step,
        }
        return Progress(**(defaults | fields))

    def evaluation(self, step: int = 1, **fields: Any) -> Evaluation:
        rows = tuple(
            MetricRow(shot=shot, adapted=adapted, auc=0.6 + adapted * 0.1, gauc=0.5, loss=0.6, tasks=3, rows=30)
            for shot in (1, 10)
            for adapted in (False, True)
        )
        sender = {"attempt": 0, "generation": 1, "rank": 0}
        defaults = {**sender, "epoch": 0, "step": step, "split": "valid", "rows": rows, "auc": 0.65}
        return Evaluation(**(defaults | fields))

    def export(self, step: int = 5, **fields: Any) -> Export:
        defaults = {"attempt": 0, "generation": 1, "rank": 0, "volume": "runs", "path": "exports/a", "step": step}
        return Export(**(defaults | fields))

    def files(self, variant: int = 0) -> tuple[FileEntry, ...]:
        return (
            FileEntry(path="dense.g1.safetensors", kind="dense", bytes=8, xxh3=digest(variant)),
            FileEntry(path="rows.g1.safetensors", kind="rows", blocks=(0, 4096), bytes=8, xxh3=digest(variant)),
        )

    def shard(self, step: int, variant: int = 0, **fields: Any) -> ShardWritten:
        defaults = {
            "attempt": 0,
            "generation": 1,
            "rank": 0,
            "step": step,
            "files": self.files(variant),
            "layout": LAYOUT,
            "ledger": Ledger(global_step=step, samples=50 * step, tasks=2 * step),
        }
        return ShardWritten(**(defaults | fields))

    def finish(self, **fields: Any) -> Finish:
        defaults = {"attempt": 0, "generation": 1, "outcome": "succeeded", "message": "all done", "exit_code": 0}
        return Finish(**(defaults | fields))


@pytest.fixture
def messages() -> Messages:
    return Messages()


@pytest.fixture
def make_document() -> Callable[..., JobDocument]:
    def make(attempt: int = 0, name: str = "demo", keep: int = 3) -> JobDocument:
        return JobDocument.model_validate(
            {
                "job": {"name": name, "namespace": "default"},
                "attempt": attempt,
                "spec": {
                    "volumes": [{"name": "data", "emptyDir": {}}],
                    "data": {"volume": "data", "path": "movies"},
                    "checkpoint": {"volume": "data", "path": "run", "keep": keep},
                    "training": {"epochs": 10},
                },
            }
        )

    return make
