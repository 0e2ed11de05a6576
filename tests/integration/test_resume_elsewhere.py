"""A run that is interrupted and goes on with another number of workers ends as good as one that was not."""

import signal
from pathlib import Path

import pytest
from local_job import LocalJob, wait_until

LONG = ("spec.training.epochs=20", "spec.training.evaluation.everyEpochs=20")


def final_auc(job: LocalJob) -> dict[tuple[int, bool], float]:
    """AUC of the final split by shot and mode."""
    return {(row["shot"], row["adapted"]): row["auc"] for row in job.report["evaluations"][-1]["rows"]}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, bool], float]:
    job = LocalJob(tmp_path_factory.mktemp("unbroken"))
    code, output = job.run("--workers", "2", settings=LONG)
    assert code == 0, output
    return final_auc(job)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("before", "after"), [(2, 1), (2, 3), (4, 2)])
def test_the_auc_is_the_same(before: int, after: int, unbroken: dict[tuple[int, bool], float], tmp_path: Path) -> None:
    job = LocalJob(tmp_path)
    process = job.start("--workers", str(before), settings=LONG)
    wait_until(lambda: len(job.events("shard_written")) > 0, "a commit", seconds=240)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 143, output
    process = job.start("--resume", "--workers", str(after), settings=LONG)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert [sum(member["ranks"] for member in formed["members"]) for formed in job.events("formed")] == [before, after]
    assert job.events("formed")[1]["commit"]["step"] > 0
    assert final_auc(job) == pytest.approx(unbroken, abs=0.002)
