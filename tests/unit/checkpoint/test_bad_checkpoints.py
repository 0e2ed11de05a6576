"""Every way in which a checkpoint can be bad, with the exact message."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import xxhash

from gmeta_api.document import JobIdentity
from gmeta_api.errors import CheckpointError
from gmeta_api.exit_codes import ExitCode
from gmeta_worker.checkpoint import (
    CommitManifest,
    Layout,
    Table,
    list_commits,
    load_commit,
    newest_valid,
    open_commit,
    require_newest,
    require_same_job,
    require_same_layout,
)

WriteCommit = Callable[..., CommitManifest]


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def not_json(folder: Path) -> str:
    (folder / "manifest.json").write_text('{"format": 1,')
    return (
        "{folder}/manifest.json: is not JSON "
        "(Expecting property name enclosed in double quotes: line 1 column 14 (char 13))"
    )


def not_text(folder: Path) -> str:
    (folder / "manifest.json").write_bytes(b"\xff\xfe\x00")
    return (
        "{folder}/manifest.json: is not JSON ('utf-16-le' codec can't decode byte 0x00 in position 2: truncated data)"
    )


def not_an_object(folder: Path) -> str:
    (folder / "manifest.json").write_text("[1]")
    return "{folder}/manifest.json: expected a JSON object, found list"


def empty_manifest(folder: Path) -> str:
    (folder / "manifest.json").write_text("")
    return "{folder}/manifest.json: is not JSON (Expecting value: line 1 column 1 (char 0))"


def newer_format(folder: Path) -> str:
    edit(folder / "manifest.json", format=2)
    return (
        "{folder}/manifest.json: has format version 2, this version of gmeta reads version 1; "
        "read it with the version that wrote it"
    )


def foreign_json(folder: Path) -> str:
    (folder / "manifest.json").write_text('{"name": "a web app"}')
    return (
        "{folder}/manifest.json: has format version None, this version of gmeta reads version 1; "
        "read it with the version that wrote it"
    )


def missing_field(folder: Path) -> str:
    fields = json.loads((folder / "manifest.json").read_text())
    del fields["ledger"]["samples"], fields["layout"]["dim"]
    (folder / "manifest.json").write_text(json.dumps(fields))
    return "{folder}/manifest.json: layout.dim: Field required"


def path_that_escapes(folder: Path) -> str:
    files = json.loads((folder / "manifest.json").read_text())["files"]
    files[0]["path"] = "../s10/dense.g1.safetensors"
    edit(folder / "manifest.json", files=files)
    return "{folder}/manifest.json: files.0.path: String should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]*$'"


def ledger_of_another_step(folder: Path) -> str:
    edit(folder / "manifest.json", ledger={"global_step": 7})
    return "{folder}/manifest.json: the ledger stands at step 7, the commit at step 20"


def blocks_not_listed(folder: Path) -> str:
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit(folder / "manifest.json", files=[file for file in files if file["kind"] != "rows"])
    return "{folder}/manifest.json: row files hold blocks 0..0 of 4096"


def missing_file(folder: Path) -> str:
    (folder / "rows-0000-4096.g1.safetensors").unlink()
    return "{folder}/rows-0000-4096.g1.safetensors: is missing"


def truncated_file(folder: Path) -> str:
    path = folder / "dense.g1.safetensors"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    return f"{{folder}}/dense.g1.safetensors: has {size - 1} bytes, the manifest says {size}"


def flipped_byte(folder: Path) -> str:
    path = folder / "rows-0000-4096.g1.safetensors"
    data = bytearray(path.read_bytes())
    before = xxhash.xxh3_64_hexdigest(bytes(data))
    data[-3] ^= 0x10
    path.write_bytes(data)
    after = xxhash.xxh3_64_hexdigest(bytes(data))
    return (
        f"{{folder}}/rows-0000-4096.g1.safetensors: has checksum {after}, the manifest says {before}: "
        "its content was altered"
    )


def no_tensors(folder: Path) -> str:
    """A file that is not what it claims to be, though its checksum is right."""
    data = b"not safetensors at all"
    (folder / "dense.g1.safetensors").write_bytes(data)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    files[0] |= {"bytes": len(data), "xxh3": xxhash.xxh3_64_hexdigest(data)}
    edit(folder / "manifest.json", files=files)
    return "{folder}/dense.g1.safetensors: is not a safetensors file (Error while deserializing: header too large)"


def _replace_keys(folder: Path, keys: dict[str, torch.Tensor]) -> None:
    """Another vocabulary, with the right checksum."""
    data = safetensors.torch.save(keys)
    (folder / "vocabulary.g1.safetensors").write_bytes(data)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    files[1] |= {"bytes": len(data), "xxh3": xxhash.xxh3_64_hexdigest(data)}
    edit(folder / "manifest.json", files=files)


def too_few_keys(folder: Path) -> str:
    _replace_keys(folder, {"movie": torch.arange(5)})
    return "{folder}: table 'movie' has 10 rows, so its vocabulary needs 9 sorted keys, and has 5"


def no_keys(folder: Path) -> str:
    _replace_keys(folder, {"user": torch.arange(9)})
    return "{folder}: table 'movie' has 10 rows, so its vocabulary needs 9 sorted keys, and has 0"


def unsorted_keys(folder: Path) -> str:
    _replace_keys(folder, {"movie": torch.arange(9).flip(0)})
    return "{folder}: table 'movie' has 10 rows, so its vocabulary needs 9 sorted keys, and has 9 in another order"


def copied_from_another_step(folder: Path) -> str:
    edit(folder / "manifest.json", step=10, ledger={"global_step": 10})
    return "{folder}: its manifest is that of attempt 0, step 10: the folder was copied or renamed"


DAMAGE_FOUND_WHEN_CHOOSING = [
    not_json,
    not_text,
    not_an_object,
    empty_manifest,
    newer_format,
    foreign_json,
    missing_field,
    path_that_escapes,
    ledger_of_another_step,
    blocks_not_listed,
    missing_file,
    truncated_file,
    flipped_byte,
    copied_from_another_step,
]


@pytest.mark.parametrize("damage", DAMAGE_FOUND_WHEN_CHOOSING)
def test_a_damaged_commit_is_skipped_and_named_and_the_previous_one_used(
    damage: Callable[[Path], str], write_commit: WriteCommit, tmp_path: Path
) -> None:
    previous = write_commit(10)
    write_commit(20)
    folder = tmp_path / "a0" / "s20"
    expected = damage(folder).format(folder=folder)
    commit, skipped = newest_valid(tmp_path)
    assert commit is not None
    assert commit.manifest == previous
    assert skipped == (f"skipped a damaged commit: {expected}",)


@pytest.mark.parametrize(
    "damage", [missing_file, truncated_file, flipped_byte, no_tensors, too_few_keys, no_keys, unsorted_keys]
)
def test_damage_is_also_found_when_loading(
    damage: Callable[[Path], str], write_commit: WriteCommit, tmp_path: Path
) -> None:
    write_commit(20)
    folder = tmp_path / "a0" / "s20"
    expected = damage(folder).format(folder=folder)
    with pytest.raises(CheckpointError, match=f"^{re.escape(expected)}$"):
        list(load_commit(open_commit(folder)).row_groups())


def test_no_commit_at_all(tmp_path: Path) -> None:
    assert newest_valid(tmp_path) == (None, ())
    with pytest.raises(CheckpointError) as error:
        require_newest(tmp_path)
    assert str(error.value) == f"{tmp_path}: no commit to read; train first, or give the folder of a run"
    assert error.value.exit_code == ExitCode.CHECKPOINT


def test_only_damaged_commits_are_all_named(write_commit: WriteCommit, tmp_path: Path) -> None:
    for step in (10, 20):
        write_commit(step)
        (tmp_path / "a0" / f"s{step}" / "dense.g1.safetensors").unlink()
    with pytest.raises(CheckpointError) as error:
        require_newest(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: no commit to read; train first, or give the folder of a run\n"
        f"  skipped a damaged commit: {tmp_path}/a0/s20/dense.g1.safetensors: is missing\n"
        f"  skipped a damaged commit: {tmp_path}/a0/s10/dense.g1.safetensors: is missing"
    )


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as error:
        open_commit(tmp_path / "nowhere")
    assert str(error.value) == f"{tmp_path}/nowhere: no such folder; give a commit's folder, like RUN/a0/s500"


def test_a_run_folder_instead_of_a_commit(write_commit: WriteCommit, tmp_path: Path) -> None:
    write_commit(20)
    with pytest.raises(CheckpointError) as error:
        open_commit(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: is a run folder, not a commit; name one of its commits, like {tmp_path}/a0/s20"
    )


def test_a_half_written_commit_is_none(write_commit: WriteCommit, tmp_path: Path) -> None:
    write_commit(10)
    write_commit(20)
    folder = tmp_path / "a0" / "s20"
    (folder / "manifest.json").rename(folder / "manifest.json.tmp")
    commit, skipped = newest_valid(tmp_path)
    assert commit is not None
    assert (commit.manifest.step, skipped) == (10, ())
    with pytest.raises(CheckpointError) as error:
        open_commit(folder)
    assert str(error.value) == (
        f"{folder}: holds no manifest.json, so it is no commit but a half-written one or another folder; "
        "give a commit's folder, like RUN/a0/s500"
    )


def test_a_manifest_that_is_a_folder(write_commit: WriteCommit, tmp_path: Path) -> None:
    write_commit(10)
    path = tmp_path / "a0" / "s10" / "manifest.json"
    path.unlink()
    path.mkdir()
    with pytest.raises(CheckpointError) as error:
        open_commit(path.parent)
    assert str(error.value) == f"{path}: cannot be read (Is a directory)"


def test_a_commit_of_another_job(write_commit: WriteCommit, tmp_path: Path) -> None:
    write_commit(10)
    commit = open_commit(tmp_path / "a0" / "s10")
    require_same_job(commit, JobIdentity(name="demo", namespace="default", uid="another cluster's"))
    with pytest.raises(CheckpointError) as error:
        require_same_job(commit, JobIdentity(name="other", namespace="default"))
    assert str(error.value) == (
        f"{tmp_path}/a0/s10: was written by job default/demo, this job is default/other; "
        "give each job its own spec.checkpoint.path"
    )


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"dim": 8}, "it has embedding rows of 4 numbers, this job's have 8"),
        ({"blocks": 1024}, "it has 4096 virtual blocks, this job has 1024"),
        (
            {"tables": {"movie": Table(rows=11, vocabulary="exact"), "user": Table(rows=5, vocabulary="hash")}},
            "table 'movie': it has 10 rows (exact vocabulary), this job has 11 rows (exact vocabulary)",
        ),
        (
            {"tables": {"movie": Table(rows=10, vocabulary="hash"), "user": Table(rows=5, vocabulary="hash")}},
            "table 'movie': it has 10 rows (exact vocabulary), this job has 10 rows (hash vocabulary)",
        ),
        (
            {"tables": {"movie": Table(rows=10, vocabulary="exact")}},
            "table 'user': it has 5 rows (hash vocabulary), this job has no such table",
        ),
        (
            {"tables": {"user": Table(rows=5, vocabulary="hash"), "movie": Table(rows=10, vocabulary="exact")}},
            "its tables are in the order movie, user, this job's in user, movie",
        ),
    ],
)
def test_tensors_of_another_shape(
    change: dict[str, Any], difference: str, write_commit: WriteCommit, layout: Layout, tmp_path: Path
) -> None:
    write_commit(10)
    commit = open_commit(tmp_path / "a0" / "s10")
    require_same_layout(commit, layout)
    with pytest.raises(CheckpointError) as error:
        require_same_layout(commit, layout.model_copy(update=change))
    assert str(error.value) == (
        f"{tmp_path}/a0/s10: does not fit this job: {difference}; train the changed model under another "
        "spec.checkpoint.path"
    )


def test_the_same_step_in_two_attempts_is_that_of_the_newer_attempt(write_commit: WriteCommit, tmp_path: Path) -> None:
    write_commit(20, attempt=0)
    write_commit(10, attempt=1)
    write_commit(20, attempt=1)
    assert [(folder.attempt, folder.step) for folder in list_commits(tmp_path)] == [(1, 20), (1, 10), (0, 20)]
    commit, _ = newest_valid(tmp_path)
    assert commit is not None
    assert commit.manifest.position == (1, 20)
    shutil.rmtree(tmp_path / "a1")
    commit, _ = newest_valid(tmp_path)
    assert commit is not None
    assert commit.manifest.position == (0, 20)


def test_folders_of_other_names_are_not_looked_at(write_commit: WriteCommit, tmp_path: Path) -> None:
    write_commit(10)
    for name in ("s010", "s-1", "step20", "s20.bak"):
        shutil.copytree(tmp_path / "a0" / "s10", tmp_path / "a0" / name)
    (tmp_path / "a1").write_text("a file")
    assert [folder.step for folder in list_commits(tmp_path)] == [10]
