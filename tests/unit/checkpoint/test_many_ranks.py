"""Files of many ranks are one commit, and any number of ranks reads exactly its blocks of it."""

import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from gmeta_api.document import JobIdentity
from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint import (
    Commit,
    CommitManifest,
    CommitWriter,
    FileEntry,
    Layout,
    Ledger,
    Table,
    load_commit,
    newest_valid,
    open_commit,
    publish,
)
from gmeta_worker.checkpoint.tensor_file import write_tensors

PAGES = 3
LAYOUT = Layout(dim=64, tables={"t": Table(rows=10**6, vocabulary="hash")})  # four groups of blocks


def rows(lo: int, hi: int) -> dict[str, torch.Tensor]:
    """Rows that say which block they are of, and a state of another width."""
    block = torch.arange(lo, hi, dtype=torch.float32).repeat_interleave(PAGES)
    return {"weights": block[:, None].repeat(1, 2), "sum": block[:, None] + 0.5}


def committed(run: Path, cuts: list[int]) -> tuple[Commit, list[FileEntry]]:
    """A commit by the ranks that own the ranges between `cuts`."""
    files: list[FileEntry] = []
    for rank, (lo, hi) in enumerate(itertools.pairwise(cuts)):
        writer = CommitWriter(run, 0, 1, LAYOUT, range(lo, hi))
        dense = {"w": torch.ones(2)} if rank == 0 else None
        files += writer.write(5, dense, rows, {"t": np.arange(3)} if rank == 0 else {})
    publish(
        run,
        CommitManifest(
            job=JobIdentity(name="demo", namespace="default"),
            attempt=0,
            generation=1,
            step=5,
            ledger=Ledger(global_step=5),
            layout=LAYOUT,
            spec={},
            files=tuple(files),
        ),
    )
    commit, skipped = newest_valid(run)
    assert commit is not None
    assert skipped == ()
    return commit, files


cut_lists = st.lists(st.integers(1, 4095), max_size=4).map(lambda cuts: [0, *sorted(set(cuts)), 4096])


@settings(deadline=None, max_examples=12)
@given(writers=cut_lists, readers=cut_lists)
def test_any_ranks_read_what_any_ranks_have_written(writers: list[int], readers: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        commit, files = committed(Path(folder), writers)
        assert len({file.path for file in files}) == len(files), "two ranks wrote the same file"
        assert [file.kind for file in files].count("dense") == 1
        loaded = load_commit(commit)
        for lo, hi in itertools.pairwise(readers):
            parts = list(loaded.row_groups(range(lo, hi)))
            assert [block for a, b, _ in parts for block in range(a, b)] == list(range(lo, hi))
            for a, b, tensors in parts:
                assert tensors.keys() == {"weights", "sum"}
                assert all(torch.equal(tensor, rows(a, b)[name]) for name, tensor in tensors.items())


def test_a_rank_reads_only_the_files_that_hold_its_blocks(tmp_path: Path) -> None:
    commit, _ = committed(tmp_path, [0, 2048, 4096])
    for path in sorted(Path(str(commit.folder)).glob("rows-*")):
        if not path.name.startswith("rows-1024-2048"):
            path.unlink()
    ((lo, hi, _),) = load_commit(commit).row_groups(range(1500, 1700))
    assert (lo, hi) == (1500, 1700)
    with pytest.raises(CheckpointError, match=r"rows-0000-1024\.g1\.safetensors: is missing$"):
        list(load_commit(commit).row_groups(range(1000, 1700)))


def damage_elsewhere(path: Path, entry: dict[str, Any]) -> str:
    """A damaged byte of a block that the reader does not want."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    return (
        f"{path}: has checksum {xxhash.xxh3_64_hexdigest(bytes(data))}, the manifest says {entry['xxh3']}: its content "
        "was altered"
    )


def no_tensors(path: Path, entry: dict[str, Any]) -> str:
    return (
        _replace(path, entry, b"not safetensors")
        + "is not a safetensors file (Error while deserializing: header too large)"
    )


def other_rows(path: Path, entry: dict[str, Any]) -> str:
    data = safetensors.torch.save({"weights": torch.zeros(10, 2)})
    return _replace(path, entry, data) + "tensor 'weights' has shape [10, 2], expected the rows of 1024 blocks"


def a_single_number(path: Path, entry: dict[str, Any]) -> str:
    data = safetensors.torch.save({"sum": torch.tensor(1.0)})
    return _replace(path, entry, data) + "tensor 'sum' has shape [], expected the rows of 1024 blocks"


def _replace(path: Path, entry: dict[str, Any], data: bytes) -> str:
    path.write_bytes(data)
    entry |= {"bytes": len(data), "xxh3": xxhash.xxh3_64_hexdigest(data)}
    return f"{path}: "


@pytest.mark.parametrize("damage", [damage_elsewhere, no_tensors, other_rows, a_single_number])
def test_a_bad_file_is_named_though_only_a_part_of_it_is_wanted(damage: Any, tmp_path: Path) -> None:
    commit, _ = committed(tmp_path, [0, 4096])
    fields = commit.manifest.model_dump()
    entry = next(file for file in fields["files"] if file["blocks"] == (0, 1024))
    expected = damage(commit.folder / entry["path"], entry)
    Path(f"{commit.folder}/manifest.json").write_text(CommitManifest.model_validate(fields).model_dump_json())
    with pytest.raises(CheckpointError) as error:
        list(load_commit(open_commit(commit.folder)).row_groups(range(5, 7)))
    assert str(error.value) == expected


def test_files_are_what_the_library_reads(tmp_path: Path) -> None:
    """Every type, every order of alignment, empty and scalar tensors."""
    types = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16]
    types += [torch.int8, torch.uint8, torch.bool]
    tensors = {f"{shape}/{dtype}": torch.ones(shape).to(dtype) for dtype in types for shape in [(), (0, 3), (3,)]}
    written = write_tensors(tmp_path / "file", tensors)
    data = (tmp_path / "file").read_bytes()
    assert (written.bytes, written.xxh3) == (len(data), xxhash.xxh3_64_hexdigest(data))
    read = safetensors.torch.load(data)
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (read[name].dtype, read[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(read[name], tensor)
