import tempfile
from pathlib import Path

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gmeta_api.document import JobIdentity
from gmeta_worker.checkpoint import (
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
from gmeta_worker.checkpoint.writer import GROUP_BYTES, block_groups

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.int64)


@settings(deadline=None)
@given(st.integers(1, 10**9), st.integers(1, 512), st.sampled_from([1, 64, 4096]))
def test_groups_hold_every_block_once_and_are_of_bounded_size(rows: int, dim: int, blocks: int) -> None:
    layout = Layout(dim=dim, blocks=blocks, tables={"t": Table(rows=rows, vocabulary="hash")})
    groups = block_groups(layout)
    assert [block for lo, hi in groups for block in range(lo, hi)] == list(range(blocks))
    smallest_possible = max(GROUP_BYTES, 4 * rows * dim / blocks)
    largest = max(hi - lo for lo, hi in groups)
    assert 4 * rows * dim * (largest - 1) / blocks <= smallest_possible


tensors = st.dictionaries(
    st.text("abcdef._", min_size=1, max_size=6),
    st.builds(
        lambda shape, dtype, seed: torch.randint(-1000, 1000, shape, generator=torch.Generator().manual_seed(seed)).to(
            dtype
        ),
        st.lists(st.integers(0, 4), max_size=3),
        st.sampled_from(DTYPES),
        st.integers(0, 2**31),
    ),
    max_size=4,
)


@settings(deadline=None, max_examples=30)
@given(tensors, tensors, st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5))
def test_what_is_committed_is_what_is_loaded(
    dense: dict[str, torch.Tensor], rows: dict[str, torch.Tensor], keys: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        layout = Layout(dim=64, tables={"t": Table(rows=10**6, vocabulary="hash")})
        array = np.array(keys, dtype=np.int64)
        asked: list[tuple[int, int]] = []

        def export(lo: int, hi: int) -> dict[str, torch.Tensor]:
            asked.append((lo, hi))
            return rows | {"lo": torch.tensor(lo)}

        files = CommitWriter(run, 2, 3, layout).write(5, dense, export, {"t": array})
        publish(run, _manifest(layout, files))
        commit, skipped = newest_valid(run)
        assert commit is not None
        assert skipped == ()
        loaded = load_commit(commit)
        assert loaded.manifest == _manifest(layout, files)
        _assert_same(loaded.dense, dense)
        np.testing.assert_array_equal(loaded.vocabularies["t"], array)
        groups = list(loaded.row_groups())
        assert [(lo, hi) for lo, hi, _ in groups] == asked == block_groups(layout)
        assert len(asked) == 4
        for lo, _, group in groups:
            _assert_same(group, rows | {"lo": torch.tensor(lo)})


def _manifest(layout: Layout, files: list[FileEntry]) -> CommitManifest:
    return CommitManifest(
        job=JobIdentity(name="demo", namespace="default"),
        attempt=2,
        generation=3,
        step=5,
        ledger=Ledger(global_step=5),
        layout=layout,
        spec={"model": {"args": {"x": [1, None, True]}}},
        files=tuple(files),
        trainer={"best": 0.5},
    )


def _assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert tensor.dtype == right[name].dtype
        assert tensor.shape == right[name].shape
        assert torch.equal(tensor, right[name])


def test_strided_and_shared_tensors_are_written_by_value(tmp_path: Path, layout: Layout) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tied = torch.nn.Parameter(base)
    state = {"a": base.T, "b": base, "c": tied, "d": tied, "e": base[1:, 2:]}
    files = CommitWriter(tmp_path, 2, 3, layout).write(5, state, lambda lo, hi: {}, {"movie": np.arange(9)})
    publish(tmp_path, _manifest(layout, files))
    dense = load_commit(open_commit(tmp_path / "a2" / "s5")).dense
    assert dense.keys() == state.keys()
    assert all(torch.equal(dense[name], tensor) for name, tensor in state.items())


def test_files_of_two_generations_of_a_step_do_not_touch_each_other(tmp_path: Path, layout: Layout) -> None:
    for generation in (1, 2):
        CommitWriter(tmp_path, 0, generation, layout).write(5, {"g": torch.tensor(generation)}, lambda lo, hi: {}, {})
    names = sorted(path.name for path in (tmp_path / "a0" / "s5").iterdir())
    assert names == [
        "dense.g1.safetensors",
        "dense.g2.safetensors",
        "rows-0000-4096.g1.safetensors",
        "rows-0000-4096.g2.safetensors",
    ]
