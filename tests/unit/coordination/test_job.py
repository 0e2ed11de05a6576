import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gmeta_api.document import JobDocument
from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint import CommitWriter, Layout, Table, list_commits
from gmeta_worker.coordination.job import Job, open_job
from gmeta_worker.coordination.messages import Committed, Round, ShardWritten

MakeDocument = Callable[..., JobDocument]


@pytest.fixture
def write_shard(messages: Any, tmp_path: Path) -> Callable[..., ShardWritten]:
    """Writes the files of a step and gives the message about them."""
    layout = Layout(dim=4, tables={"movie": Table(rows=10, vocabulary="hash")})

    def write(step: int, attempt: int = 0, generation: int = 1) -> ShardWritten:
        writer = CommitWriter(tmp_path, attempt, generation, layout)
        files = writer.write(step, {"w": torch.full((2,), float(step))}, lambda lo, hi: {"r": torch.zeros(10, 4)}, {})
        fields = {"attempt": attempt, "generation": generation, "files": tuple(files), "layout": layout}
        shard: ShardWritten = messages.shard(step, **fields)
        return shard

    return write


def test_a_job_goes_on_where_it_was(
    make_document: MakeDocument, messages: Any, write_shard: Callable[..., ShardWritten], tmp_path: Path
) -> None:
    with open_job(make_document(), tmp_path) as job:
        job.handle(messages.join())
        job.handle(messages.progress(5))
        assert job.handle(write_shard(5)) == Committed(step=5)
        job.handle(messages.evaluation(5))
        job.handle(messages.progress(7))
        job.handle(messages.export(5))
        before, announced = job.status(), job.handle(messages.join())
    with open_job(make_document(), tmp_path) as job:
        after = job.status()
        assert job.handle(messages.join()) == announced
        assert len(job.events) == 6
    assert _without_clock(after) == _without_clock(before)


def _without_clock(status: Any) -> Any:
    fields = status.model_dump(exclude={"workers": {"__all__": {"seconds_since_message"}}})
    assert fields["progress"].pop("samples_per_second") > 0
    assert fields["progress"].pop("tasks_per_second") > 0
    assert fields["progress"].pop("input_wait_share") >= 0
    return fields


def test_a_crash_between_manifest_and_event_loses_nothing(
    make_document: MakeDocument,
    messages: Any,
    write_shard: Callable[..., ShardWritten],
    tmp_path: Path,
) -> None:
    with open_job(make_document(), tmp_path) as job:
        job.handle(messages.join())
        shard = write_shard(5)
        job.handle(shard)
    events = (tmp_path / "events.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "events.jsonl").write_bytes(b"".join(events[:-1]))
    with open_job(make_document(), tmp_path) as job:
        assert job.handle(shard) == Committed(step=5), "the retry of a confirmed commit"
        announced = job.handle(messages.join(after=1))
        assert isinstance(announced, Round)
        assert announced.commit is not None
        assert (announced.generation, announced.commit.path) == (2, "a0/s5")


def test_a_commit_that_cannot_be_written_changes_nothing(
    make_document: MakeDocument,
    messages: Any,
    write_shard: Callable[..., ShardWritten],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with open_job(make_document(), tmp_path) as job:
        job.handle(messages.join())
        shard = write_shard(5)
        before = job.state
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(CheckpointError, match=r"cannot write manifest\.json\.tmp \(No space left on device\)"):
                job.handle(shard)
        assert job.state == before
        assert len(job.events) == 1
        assert job.handle(shard) == Committed(step=5)


def test_old_commits_are_pruned(
    make_document: MakeDocument, messages: Any, write_shard: Callable[..., ShardWritten], tmp_path: Path
) -> None:
    with open_job(make_document(keep=2), tmp_path) as job:
        job.handle(messages.join())
        for step in (5, 10, 15):
            job.handle(write_shard(step))
    assert [folder.step for folder in list_commits(tmp_path)] == [15, 10]


def test_a_damaged_commit_is_found_when_a_worker_comes_back(
    make_document: MakeDocument, messages: Any, write_shard: Callable[..., ShardWritten], tmp_path: Path
) -> None:
    with open_job(make_document(), tmp_path) as job:
        job.handle(messages.join())
        job.handle(write_shard(5))
        job.handle(write_shard(10))
        (tmp_path / "a0" / "s10" / "dense.g1.safetensors").unlink()
        announced = job.handle(messages.join("process-b"))
        assert isinstance(announced, Round)
        assert announced.commit is not None
        assert announced.commit.step == 5
        message = f"skipped a damaged commit: {tmp_path}/a0/s10/dense.g1.safetensors: is missing"
        assert announced.warnings == job.status().warnings == (message,)
        assert job.handle(write_shard(10, generation=2)) == Committed(step=10), "trained again from step 5"


def test_a_new_attempt_fences_the_old_coordinator(
    make_document: MakeDocument, messages: Any, write_shard: Callable[..., ShardWritten], tmp_path: Path
) -> None:
    with open_job(make_document(), tmp_path) as job:
        job.handle(messages.join())
        shard = write_shard(5)
        (tmp_path / "a1").mkdir()
        message = (
            f"{tmp_path}: belongs to attempt 1; this coordinator runs attempt 0, which is out of date and must stop"
        )
        with pytest.raises(CheckpointError) as error:
            job.handle(shard)
        assert str(error.value) == message
    with pytest.raises(CheckpointError) as error, open_job(make_document(), tmp_path):
        pass
    assert str(error.value) == message


def test_a_new_attempt_starts_from_the_newest_commit_of_the_old_one(
    make_document: MakeDocument, messages: Any, write_shard: Callable[..., ShardWritten], tmp_path: Path
) -> None:
    with open_job(make_document(), tmp_path) as job:
        job.handle(messages.join())
        job.handle(write_shard(5))
        job.handle(messages.finish(outcome="interrupted", exit_code=143))
    with open_job(make_document(attempt=1), tmp_path) as job:
        assert job.status().state == "pending"
        announced = job.handle(messages.join(attempt=1))
        assert isinstance(announced, Round)
        assert announced.commit is not None
        assert (announced.commit.path, announced.generation) == ("a0/s5", 2)
        assert job.handle(write_shard(5, attempt=1, generation=2)) == Committed(step=5)


def test_a_run_folder_of_another_job(
    make_document: MakeDocument, messages: Any, write_shard: Callable[..., ShardWritten], tmp_path: Path
) -> None:
    with open_job(make_document(), tmp_path) as job:
        job.handle(messages.join())
        job.handle(write_shard(5))
    with pytest.raises(CheckpointError, match="was written by job default/demo, this job is default/other"):
        _open(make_document(name="other"), tmp_path)


def _open(document: JobDocument, folder: Path) -> Job:
    with open_job(document, folder) as job:
        return job
