import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint import CommitManifest, CommitWriter, Layout, claim_attempt, newest_valid, publish

WriteCommit = Callable[..., CommitManifest]


def test_publishing_twice_changes_nothing(write_commit: WriteCommit, tmp_path: Path) -> None:
    commit = write_commit(10)
    before = (tmp_path / "a0" / "s10" / "manifest.json").read_bytes()
    publish(tmp_path, commit)
    assert (tmp_path / "a0" / "s10" / "manifest.json").read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "a0" / "s10").glob("manifest*")) == ["manifest.json"]


def test_an_old_attempt_can_neither_commit_nor_come_back(write_commit: WriteCommit, tmp_path: Path) -> None:
    old = write_commit(10, attempt=0)
    claim_attempt(tmp_path, 1)
    message = f"{tmp_path}: belongs to attempt 1; this coordinator runs attempt 0, which is out of date and must stop"
    acts: tuple[Callable[[], object], ...] = (lambda: publish(tmp_path, old), lambda: claim_attempt(tmp_path, 0))
    for act in acts:
        with pytest.raises(CheckpointError, match=f"^{re.escape(message)}$"):
            act()
    claim_attempt(tmp_path, 1)


@pytest.mark.parametrize(("keep_bytes", "state"), [(None, "is missing"), (7, "has 7 bytes")])
def test_files_that_the_coordinator_does_not_see_are_no_commit(
    keep_bytes: int | None, state: str, write_commit: WriteCommit, tmp_path: Path
) -> None:
    commit = write_commit(10)
    folder = tmp_path / "a0" / "s10"
    (folder / "manifest.json").unlink()
    dense = folder / "dense.g1.safetensors"
    size = dense.stat().st_size
    if keep_bytes is None:
        dense.unlink()
    else:
        os.truncate(dense, keep_bytes)
    with pytest.raises(CheckpointError) as error:
        publish(tmp_path, commit)
    assert str(error.value) == (
        f"{dense}: the worker wrote {size} bytes, on the coordinator's volume the file {state}; "
        "mount the same checkpoint volume in both"
    )
    assert newest_valid(tmp_path) == (None, ())


def test_a_full_disk_is_named_with_what_is_needed_and_what_is_free(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError) as error:
        CommitWriter(tmp_path, 0, 1, layout).write(5, {"w": torch.zeros(100)}, lambda lo, hi: {}, {})
    size = (tmp_path / "a0" / "s5" / "dense.g1.safetensors").stat().st_size
    pattern = (
        rf"{tmp_path}/a0/s5: cannot write dense\.g1\.safetensors \(No space left on device\): it needs {size} bytes, "
        r"\d+ bytes are free; free space or fix the folder's permissions, or lower spec\.checkpoint\.keep"
    )
    assert re.fullmatch(pattern, str(error.value))


def test_a_disk_that_is_full_when_names_are_flushed(
    write_commit: WriteCommit, layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync
    commit = write_commit(10)

    def full(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    acts: list[tuple[str, Callable[[], object]]] = [
        ("a0/s5", lambda: CommitWriter(tmp_path, 0, 1, layout).write(5, {}, lambda lo, hi: {}, {})),
        ("a0/s10", lambda: publish(tmp_path, commit)),
    ]
    for folder, act in acts:
        with pytest.raises(CheckpointError) as error:
            act()
        assert str(error.value) == (
            f"{tmp_path}/{folder}: cannot be flushed to the disk (No space left on device); free space or repair the "
            "volume"
        )


def test_a_run_folder_that_is_a_file(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(CheckpointError, match=r"run/a0/s5: cannot write dense\.g1\.safetensors \(Not a directory\)"):
        CommitWriter(tmp_path / "run", 0, 1, layout).write(5, {}, lambda lo, hi: {}, {})
    with pytest.raises(CheckpointError) as error:
        claim_attempt(tmp_path / "run", 0)
    assert str(error.value) == (
        f"{tmp_path}/run/a0: cannot create the attempt's folder (Not a directory); fix the volume or its permissions"
    )


def test_a_failed_manifest_leaves_the_previous_commit(
    write_commit: WriteCommit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_commit(10)

    def broken(self: Path, target: Path) -> Path:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", broken)
        with pytest.raises(CheckpointError, match=r"a0/s20: cannot write manifest\.json \(Read-only file system\)"):
            write_commit(20)
    commit, skipped = newest_valid(tmp_path)
    assert commit is not None
    assert (commit.manifest.step, skipped) == (10, ())
