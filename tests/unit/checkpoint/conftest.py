from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gmeta_api.document import JobIdentity
from gmeta_worker.checkpoint import CommitManifest, CommitWriter, Layout, Ledger, Score, Table, publish

WriteCommit = Callable[..., CommitManifest]


@pytest.fixture
def layout() -> Layout:
    return Layout(dim=4, tables={"movie": Table(rows=10, vocabulary="exact"), "user": Table(rows=5, vocabulary="hash")})


@pytest.fixture
def manifest(layout: Layout) -> Callable[..., CommitManifest]:
    def make(step: int = 10, **fields: Any) -> CommitManifest:
        defaults: dict[str, Any] = {
            "job": JobIdentity(name="demo", namespace="default"),
            "attempt": 0,
            "generation": 1,
            "step": step,
            "ledger": Ledger(global_step=step),
            "layout": layout,
            "spec": {},
        }
        return CommitManifest(**(defaults | fields))

    return make


@pytest.fixture
def write_commit(tmp_path: Path, layout: Layout, manifest: Callable[..., CommitManifest]) -> WriteCommit:
    """Writes and publishes a commit under tmp_path; weights hold the step."""

    def write(step: int, attempt: int = 0, score: Score | None = None, **fields: Any) -> CommitManifest:
        writer = CommitWriter(tmp_path, attempt, 1, layout)
        files = writer.write(
            step,
            {"top.weight": torch.full((3, 2), float(step))},
            lambda lo, hi: {"weights": torch.full((15, 4), float(step))},
            {"movie": np.arange(9, dtype=np.int64)},
        )
        commit = manifest(step, attempt=attempt, files=tuple(files), evaluation=score, **fields)
        publish(tmp_path, commit)
        return commit

    return write
