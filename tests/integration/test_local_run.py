"""`gmeta run` in real processes: to the end, interrupted and resumed, with a killed worker or coordinator."""

import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from local_job import LocalJob, alive, call, kill, process_tree, variables, wait_until

LONG = ("spec.training.epochs=40", "spec.training.evaluation.everyEpochs=10")


@pytest.fixture
def job(tmp_path: Path) -> Iterator[LocalJob]:
    job = LocalJob(tmp_path)
    yield job
    job.stop()


def final_state(job: LocalJob) -> dict[str, torch.Tensor]:
    """Every tensor of the newest commit, whichever attempt made it."""
    commits = sorted(
        job.run_folder.glob("a*/s*/manifest.json"), key=lambda path: int(path.parent.name.removeprefix("s"))
    )
    tensors = {}
    for path in sorted(commits[-1].parent.glob("*.safetensors")):
        kind = path.name.split(".")[0]
        tensors.update({f"{kind}/{name}": value for name, value in safetensors.torch.load_file(path).items()})
    return tensors


def test_a_run_trains_reports_and_can_be_evaluated(job: LocalJob) -> None:
    code, output = job.run()
    assert code == 0, output
    assert "succeeded: every step was trained" in output
    report = job.report
    assert report["ending"]["outcome"] == "succeeded"
    assert [row["split"] for row in report["evaluations"]] == ["valid", "valid", "test"]
    assert {(row["shot"], row["adapted"]) for row in report["evaluations"][-1]["rows"]} == {
        (1, False), (1, True), (4, False), (4, True),
    }  # fmt: skip
    assert (job.run_folder / "report.html").stat().st_size > 10_000
    code, output = call("evaluate", job.run_folder, "--dataset", job.folder / "data" / "dataset", "--shots", "1,4")
    assert code == 0, output
    for row in report["evaluations"][-1]["rows"]:
        assert f"{row['auc']:.4f}" in output

    code, output = call("compare", job.run_folder, "--out", job.folder / "compare.html")
    assert code == 0, output
    assert "data:image/png;base64," in (job.folder / "compare.html").read_text()
    assert b"train/samples_per_second" in (job.run_folder / "tensorboard/events.out.tfevents.gmeta").read_bytes()

    code, output = job.run()
    assert code == 67, output
    assert "of an earlier run; go on from the newest with --resume, or delete that run with --fresh" in output


def test_an_interrupted_run_commits_and_resumes_to_the_same_weights(job: LocalJob, tmp_path: Path) -> None:
    unbroken = LocalJob(tmp_path / "unbroken")
    code, output = unbroken.run(settings=LONG)
    assert code == 0, output

    process = job.start(settings=LONG)
    wait_until(lambda: len(job.events("progress")) > 0, "progress")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143, output
    assert (stopped_at := job.events("shard_written")[-1]["step"])
    assert f"interrupted: asked to stop; step {stopped_at} is committed" in output
    assert 0 < stopped_at < 40 * 9

    code, output = job.run("--resume", settings=LONG)
    assert code == 0, output
    ours, theirs = final_state(job), final_state(unbroken)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
def test_a_killed_worker_is_started_again_and_goes_on_from_its_commit(job: LocalJob) -> None:
    process = job.start(settings=LONG)
    wait_until(lambda: len(job.events("shard_written")) > 0, "a commit")
    before = process_tree(process.pid)
    kill(before.agents[0])
    wait_until(lambda: len(job.events("formed")) == 2, "a second round")
    assert not any(alive(rank) for rank in before.ranks[0]), "ranks die with their agent"
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "worker-0 ended with exit code 137; starting it again." in output
    formed = job.events("formed")[1]
    assert (formed["cause"], formed["commit"]["step"] > 0) == ("replaced", True)


@pytest.mark.slow
def test_a_worker_that_dies_too_often_ends_the_run(job: LocalJob) -> None:
    process = job.start(settings=(*LONG, "spec.faultTolerance.backoffLimit=0"))
    wait_until(lambda: len(job.events("shard_written")) > 0, "a commit")
    kill(process_tree(process.pid).agents[0])
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 137, output
    assert "worker-0 ended with exit code 137 without a word" in output
    assert job.report["ending"]["outcome"] == "failed"
    code, output = job.run("--resume", settings=LONG)
    assert code == 0, output


def test_a_killed_coordinator_comes_back_and_no_rank_restarts(job: LocalJob) -> None:
    process = job.start(settings=LONG)
    wait_until(lambda: len(job.events("shard_written")) > 0, "a commit")
    before = process_tree(process.pid)
    kill(before.coordinator)
    wait_until(lambda: process_tree(process.pid).coordinator not in (0, before.coordinator), "it")
    assert process_tree(process.pid).ranks == before.ranks
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "The coordinator ended with exit code 137; starting it again." in output
    assert len(job.events("formed")) == 1


def test_a_worker_serves_its_metrics(job: LocalJob) -> None:
    process = job.start(settings=LONG)
    wait_until(lambda: len(job.events("progress")) > 0, "progress")
    port = variables(process_tree(process.pid).agents[0])["GMETA_METRICS_PORT"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        text = response.read().decode()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    label = 'job_name="small",namespace="default",rank="0"'
    for name in ("gmeta_tasks_total", "gmeta_read_bytes_total", "gmeta_loss", "gmeta_input_queue_depth"):
        assert f"{name}{{{label}}}" in text
    for phase in ("input", "lookup", "gradients", "update"):
        assert f'phase="{phase}"' in text
