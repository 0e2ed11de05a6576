"""A job whose run folder lies in an object store: its processes die, and every sample counts once all the same."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from local_job import wait_until
from object_store import s3_server
from real_job import EPOCHS, RealJob, Store, counts, kill

from gmeta_worker.checkpoint import list_commits, newest_valid


@pytest.fixture
def job(tmp_path: Path) -> Iterator[RealJob]:
    with s3_server() as endpoint:
        job = RealJob(tmp_path, workers=2, store=Store("s3://bucket/runs", endpoint))
        yield job
        job.end()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_on_an_object_store_survives_its_processes(job: RealJob) -> None:
    job.run_until(lambda: len(list_commits(job.run)) > 0, "a commit")
    assert job.coordinator is not None
    kill([job.coordinator.pid])
    before = list_commits(job.run)
    job.run_until(lambda: list_commits(job.run) != before, "a commit under the new coordinator")
    assert job.rounds == 1, "no rank has noticed"
    kill(job.ranks(1))
    job.finish()
    assert job.rounds == 2
    commit, skipped = newest_valid(job.run)
    assert commit is not None
    assert skipped == ()
    found = counts(commit)
    assert found[0].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(found[1:], EPOCHS, rtol=0, atol=1e-3)
    wait_until((job.run / "report.html").is_file, "the report")
