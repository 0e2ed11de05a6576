"""Commits and events in an object store: an S3 server, and a store in memory."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from object_store import s3_server
from obstore.store import MemoryStore

from gmeta_api.document import JobDocument, JobIdentity
from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint import (
    CommitManifest,
    CommitWriter,
    Layout,
    Ledger,
    Score,
    best,
    claim_attempt,
    delivered,
    list_commits,
    load_commit,
    newest_valid,
    next_attempt,
    prune,
    publish,
)
from gmeta_worker.checkpoint.object_path import ChangedError, ObjectPath
from gmeta_worker.coordination.job import open_job
from gmeta_worker.coordination.messages import Committed, Join, ShardWritten

NAMES = itertools.count()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["memory", "s3"])
def run(request: pytest.FixtureRequest, endpoint: str) -> ObjectPath:
    """An empty run folder."""
    if request.param == "memory":
        volume = ObjectPath(MemoryStore(), "memory://")
    else:
        volume = ObjectPath.open(f"s3://bucket/volume-{next(NAMES)}", {"endpoint": endpoint})
    return volume / "runs" / "demo"


def write(run: ObjectPath, layout: Layout, step: int, attempt: int = 0, generation: int = 1) -> ShardWritten:
    """The files of a commit whose weights hold the step."""
    writer = CommitWriter(run, attempt, generation, layout)
    files = writer.write(
        step,
        {"top.weight": torch.full((3, 2), float(step))},
        lambda lo, hi: {"weights": torch.full((15, 4), float(step))},
        {"movie": np.arange(9, dtype=np.int64)},
    )
    return ShardWritten(
        attempt=attempt,
        generation=generation,
        rank=0,
        step=step,
        files=tuple(files),
        layout=layout,
        ledger=Ledger(global_step=step),
    )


def commit(run: ObjectPath, layout: Layout, step: int, attempt: int = 0, auc: float | None = None) -> CommitManifest:
    shard = write(run, layout, step, attempt)
    manifest = CommitManifest(
        job=JobIdentity(name="demo", namespace="default"),
        attempt=attempt,
        generation=1,
        step=step,
        ledger=shard.ledger,
        layout=layout,
        spec={},
        files=shard.files,
        evaluation=None if auc is None else Score(metric="auc", value=auc),
    )
    publish(run, manifest)
    return manifest


def test_what_is_committed_is_what_is_loaded(run: ObjectPath, layout: Layout) -> None:
    assert newest_valid(run) == (None, ())
    assert next_attempt(run) == 0
    made = [commit(run, layout, step) for step in (5, 10)]
    found, skipped = newest_valid(run)
    assert found is not None
    assert skipped == ()
    assert found.manifest == made[1]
    loaded = load_commit(found)
    assert torch.equal(loaded.dense["top.weight"], torch.full((3, 2), 10.0))
    assert loaded.vocabularies["movie"].tolist() == list(range(9))
    assert [(lo, hi, float(rows["weights"][0, 0])) for lo, hi, rows in loaded.row_groups()] == [(0, 4096, 10.0)]
    assert next_attempt(run) == 1


def test_a_damaged_commit_is_skipped_and_named(run: ObjectPath, layout: Layout) -> None:
    for step in (5, 10, 15, 20):
        commit(run, layout, step)
    (run / "a0/s20/dense.g1.safetensors").unlink()
    (run / "a0/s15/dense.g1.safetensors").write_pieces(memoryview(b"short"))
    (run / "a0/s10/manifest.json").write_pieces(memoryview(b"{"))
    found, skipped = newest_valid(run)
    assert found is not None
    assert found.manifest.step == 5
    assert [message.split(f"{run}/")[1].split(" (")[0] for message in skipped] == [
        "a0/s20/dense.g1.safetensors: is missing",
        f"a0/s15/dense.g1.safetensors: has 5 bytes, the manifest says {found.manifest.files[0].bytes}",
        "a0/s10/manifest.json: is not JSON",
    ]


def test_files_that_are_not_there_are_no_commit(run: ObjectPath, layout: Layout) -> None:
    made = commit(run, layout, 5)
    (run / "a0/s5/manifest.json").unlink()
    (run / "a0/s5/dense.g1.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"on the coordinator's volume the file is missing"):
        publish(run, made)
    assert newest_valid(run) == (None, ())


def test_a_new_attempt_fences_the_old_one(run: ObjectPath, layout: Layout) -> None:
    claim_attempt(run, 0)
    made = commit(run, layout, 5)
    claim_attempt(run, 1)
    claim_attempt(run, 1)
    acts: list[Callable[[], object]] = [lambda: publish(run, made), lambda: claim_attempt(run, 0)]
    for act in acts:
        with pytest.raises(CheckpointError, match=f"^{run}: belongs to attempt 1; this coordinator runs attempt 0"):
            act()


def test_old_commits_are_pruned(run: ObjectPath, layout: Layout) -> None:
    for step, auc in ((5, None), (10, 0.9), (15, None), (20, 0.8)):
        commit(run, layout, step, auc=auc)
    prune(run, 1, (0, 20))
    assert [folder.step for folder in list_commits(run)] == [20, 10]
    assert sorted(path.name for path in (run / "a0").iterdir()) == ["s10", "s20"]
    found = best(run)
    assert found is not None
    assert found.manifest.step == delivered(run).manifest.step == 10


def document() -> JobDocument:
    return JobDocument.model_validate(
        {
            "job": {"name": "demo", "namespace": "default"},
            "attempt": 0,
            "spec": {
                "volumes": [{"name": "data", "emptyDir": {}}],
                "data": {"volume": "data", "path": "movies"},
                "checkpoint": {"volume": "data", "path": "run"},
            },
        }
    )


def join(process: str) -> Join:
    return Join(attempt=0, worker=0, process=process, host="h", port=1, ranks=1)


def test_a_coordinator_goes_on_where_another_one_was(run: ObjectPath, layout: Layout) -> None:
    with open_job(document(), run) as job:
        job.handle(join("process-a"))
        assert job.handle(write(run, layout, 5)) == Committed(step=5)
        kinds = [event.message.kind for event in job.events]
        assert kinds == ["formed", "shard_written"]
    with open_job(document(), run) as job:
        assert [event.message.kind for event in job.events] == kinds
        assert job.state.generation == 1
        assert job.state.commits.newest is not None
        assert job.state.commits.newest.step == 5


def test_of_two_coordinators_only_one_goes_on(run: ObjectPath, layout: Layout) -> None:
    with open_job(document(), run) as old:
        old.handle(join("process-a"))
        with open_job(document(), run) as new:
            new.handle(join("process-b"))
            assert new.state.generation == 2
            shard = write(run, layout, 5)
            with pytest.raises(CheckpointError) as error:
                old.handle(shard)
            assert str(error.value) == (
                f"{run}: another coordinator has taken over this run folder; this one must stop"
            )
            assert list_commits(run) == []
            assert new.handle(write(run, layout, 5, generation=2)) == Committed(step=5)
    with open_job(document(), run) as job:
        assert [event.generation for event in job.events] == [1, 2, 2]


def test_a_version_is_replaced_once(run: ObjectPath) -> None:
    path = run / "object"
    first = path.replace_version(b"1", None)
    with pytest.raises(ChangedError):
        path.replace_version(b"x", None)
    second = path.replace_version(b"2", first)
    with pytest.raises(ChangedError):
        path.replace_version(b"x", first)
    assert path.read_version() == (b"2", second)
    assert path.version() == second
    assert (run / "nothing").version() is None


def test_large_objects_are_written_in_parts_and_read_in_pieces(run: ObjectPath) -> None:
    pieces = [bytes([number]) * (6 << 20) for number in range(3)]
    (run / "large").write_pieces(*[memoryview(piece) for piece in pieces])
    assert (run / "large").stat().st_size == 18 << 20
    assert b"".join((run / "large").read_pieces(1 << 20)) == b"".join(pieces)


def test_a_store_that_cannot_be_used_is_named(endpoint: str, layout: Layout) -> None:
    volume = ObjectPath.open("s3://no-such-bucket", {"endpoint": endpoint})
    hint = "check the volume's uri and endpoint, and the credentials in its credentialsSecret"
    acts: list[tuple[str, Callable[[], Any]]] = [
        ("s3://no-such-bucket/a0/s5/dense.g1.safetensors: cannot be written", lambda: write(volume, layout, 5)),
        ("s3://no-such-bucket: cannot be read", lambda: claim_attempt(volume, 0)),
        ("s3://no-such-bucket: cannot be read", lambda: newest_valid(volume)),
    ]
    for message, act in acts:
        with pytest.raises(CheckpointError) as error:
            act()
        assert str(error.value).startswith(message)
    with pytest.raises(CheckpointError, match=hint):
        acts[0][1]()
    with pytest.raises(OSError, match="wrong-scheme"):
        ObjectPath.open("wrong-scheme://bucket", {})
