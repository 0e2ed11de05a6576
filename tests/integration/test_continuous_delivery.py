"""Yesterday's job and today's: new users and movies have come, and what was learned of the old ones goes on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from local_job import LocalJob

from gmeta_worker.checkpoint import CommitManifest, LoadedCommit, delivered, load_commit
from gmeta_worker.embedding import BlockLayout

FROM_YESTERDAY = (
    "spec.training.initFrom={volume: runs, path: run}",
    "spec.checkpoint.path=today",
    "spec.data.path=today",
    "spec.data.prepare.source=today.csv",
)
STAND_STILL = ("spec.optimizer.dense.rate=1e-9", "spec.optimizer.sparse.rate=1e-9", "spec.training.epochs=1")


@pytest.fixture
def job(tmp_path: Path) -> LocalJob:
    job = LocalJob(tmp_path)
    yesterday = (tmp_path / "data" / "ratings.csv").read_text().splitlines()
    today = [
        f"{1000 + user},{movie},{1 + (user + movie) % 5},30" for user in range(20) for movie in (1, 2, 3, 900, 901)
    ]
    (tmp_path / "data" / "today.csv").write_text("\n".join([*yesterday, *today]) + "\n")
    return job


def movies(loaded: LoadedCommit) -> dict[int, torch.Tensor]:
    """The row of each movie."""
    manifest: CommitManifest = loaded.manifest
    layout = BlockLayout({name: table.rows for name, table in manifest.layout.tables.items()})
    weights = torch.cat([tensors["weights"] for _, _, tensors in loaded.row_groups()])
    keys = loaded.vocabularies["movie"].tolist()
    places = layout.ids("movie", np.arange(1, len(keys) + 1))
    return {key: weights[place] for key, place in zip(keys, places.tolist(), strict=True)}


@pytest.mark.slow
def test_a_job_starts_from_another_ones_best_commit(job: LocalJob) -> None:
    code, output = job.run()
    assert code == 0, output
    code, output = job.run("--workers", "2", settings=(*FROM_YESTERDAY, *STAND_STILL))
    assert code == 0, output
    best = load_commit(delivered(job.run_folder))
    then, now = movies(best), movies(load_commit(delivered(job.folder / "runs" / "today")))
    assert set(now) - set(then), "no movie is new"
    for movie, row in then.items():
        torch.testing.assert_close(now[movie], row, rtol=0, atol=1e-6)

    code, output = job.run(settings=(*FROM_YESTERDAY, "spec.checkpoint.path=wider", "spec.model.embeddingDim=8"))
    assert code == 67, output
    assert f"{best.commit.folder}: this job cannot start from it: it has embedding rows of 4 numbers" in output
