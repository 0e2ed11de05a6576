"""A job's export phase: after its training, of another run alone, failing, and killed in the middle."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from local_job import LocalJob, call, kill, process_tree, wait_until

from gmeta_worker.checkpoint import delivered
from gmeta_worker.serving import open_export

COMMON = "tasksPerStep: 4, evaluation: {everyEpochs: 1, shots: [1, 4]}"


def trained_and_exported(export: str = "{volume: runs, path: exports/movies}", algorithm: str = "MAML") -> str:
    """The setting of a job with an export phase after its training."""
    train = f"{{name: train, algorithm: {algorithm}, epochs: 2}}"
    return f"spec.training={{{COMMON}, phases: [{train}, {{name: export, export: {export}}}]}}"


def only_exported(place: str, export: str = "{volume: runs, path: exports/movies}") -> tuple[str, ...]:
    """The settings of a job that exports the run `run`; its own run folder is `place`."""
    phases = f"phases: [{{name: export, export: {export}}}]"
    return (
        f"spec.training={{{phases}, initFrom: {{volume: runs, path: run}}}}",
        f"spec.checkpoint.path={place}",
    )


def with_embeddings(support: str) -> str:
    return f"{{volume: runs, path: exports/movies, metaEmbeddings: {{volume: data, support: {support}}}}}"


@pytest.fixture
def job(tmp_path: Path) -> Iterator[LocalJob]:
    job = LocalJob(tmp_path)
    yield job
    job.stop()


def out_of(job: LocalJob) -> Path:
    return job.folder / "runs/exports/movies"


def files_of(folder: Path) -> dict[str, str]:
    """Checksum of every file that does not say when it was made."""
    return {file.path: file.sha256 for file in open_export(folder).files if file.path != "MODEL_CARD.md"}


def events_of_run(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["message"] for line in (folder / "events.jsonl").read_text().splitlines()]


def test_a_job_exports_what_it_has_trained(job: LocalJob) -> None:
    code, output = job.run("--workers", "2", settings=(trained_and_exported(),))
    assert code == 0, output
    step = delivered(job.run_folder).manifest.step
    assert f"succeeded: every step was trained; step {step} is exported to exports/movies of volume runs" in output
    begun, ended = job.events("export")
    assert (begun["created"], begun["step"], ended["step"]) == (None, step, step)
    exported = open_export(out_of(job))
    assert ended["created"] == f"{exported.created:%Y-%m-%dT%H:%M:%SZ}"
    assert [message["kind"] for message in events_of_run(job.run_folder)[-3:]] == ["export", "export", "finish"]

    code, output = call("export", job.run_folder, "--dataset", job.folder / "data/dataset", "--out", job.folder / "by")
    assert code == 0, output
    assert files_of(out_of(job)) == files_of(job.folder / "by")


@pytest.mark.slow
def test_a_job_that_only_exports_takes_another_run(job: LocalJob) -> None:
    code, output = job.run()
    assert code == 0, output
    code, output = job.run(settings=only_exported("export"))
    assert code == 0, output
    best = delivered(job.run_folder).manifest
    assert f"succeeded: step {best.step} is exported to exports/movies of volume runs" in output
    exported = open_export(out_of(job))
    assert (exported.job.name, exported.step, exported.evaluation) == ("small", best.step, best.evaluation)
    own = job.folder / "runs/export"
    assert [message["kind"] for message in events_of_run(own)] == ["formed", "export", "export", "finish"]
    assert not list(own.glob("a0/s*")), "a job that trains nothing commits nothing"

    code, output = job.run(settings=only_exported("again"))
    assert code == 0, output
    assert open_export(out_of(job)).created >= exported.created
    assert sorted(path.name for path in out_of(job).parent.iterdir()) == ["movies"]


@pytest.mark.slow
def test_meta_embeddings_lie_in_the_export(job: LocalJob) -> None:
    support = job.folder / "data/support.csv"
    support.write_text("\n".join((job.folder / "data/ratings.csv").read_text().splitlines()[:50]) + "\n")
    settings = (trained_and_exported(with_embeddings("support.csv"), "CAVIA"), "spec.model.adaptive={context: true}")
    code, output = job.run(settings=settings)
    assert code == 0, output
    assert "meta_embeddings.parquet" in files_of(out_of(job))
    asked = ("--support", support, "--meta-embeddings", "--out", job.folder / "by.parquet")
    code, output = call("adapt", out_of(job), *asked)
    assert code == 0, output
    found, by_hand = pq.read_table(out_of(job) / "meta_embeddings.parquet"), pq.read_table(job.folder / "by.parquet")
    assert found.equals(by_hand)
    assert found.num_rows > 1


@pytest.mark.slow
def test_a_failure_of_the_export_ends_the_job_and_keeps_the_older_one(job: LocalJob) -> None:
    code, output = job.run(settings=(trained_and_exported(),))
    assert code == 0, output
    before = open_export(out_of(job))
    code, output = job.run(settings=only_exported("export", with_embeddings("nowhere.csv")))
    assert code == 65, output
    assert "failed: " in output
    assert f"{job.folder / 'data/nowhere.csv'}" in output
    assert open_export(out_of(job)) == before
    assert events_of_run(job.folder / "runs/export")[-1]["exit_code"] == 65


@pytest.mark.slow
def test_a_place_that_is_taken_is_told_before_anything_is_trained(job: LocalJob) -> None:
    out_of(job).mkdir(parents=True)
    (out_of(job) / "thesis.tex").touch()
    code, output = job.run(settings=(trained_and_exported(),))
    assert code == 65, output
    assert f"{out_of(job)}: exists and is no export; choose another folder" in output
    assert job.events("progress") == []


@pytest.mark.slow
def test_an_export_that_is_killed_is_made_again_without_training(job: LocalJob) -> None:
    process = job.start(settings=(trained_and_exported(),))
    wait_until(lambda: bool(job.events("export")), "the export")
    kill(process_tree(process.pid).ranks[0][0])
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    kinds = [message["kind"] for message in events_of_run(job.run_folder)]
    assert kinds[-4:] == ["evaluation", "export", "export", "finish"]
    told = job.events("export")
    assert [each["created"] is None for each in told] == [True, True, False], "killed in the middle"
    again = kinds[kinds.index("export") :]
    assert again == ["export", "formed", "evaluation", "export", "export", "finish"], "no step is trained again"
    assert open_export(out_of(job)).step == told[-1]["step"]
    assert sorted(path.name for path in out_of(job).parent.iterdir()) == ["movies"]
