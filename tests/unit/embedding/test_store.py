"""RowStore: initial rows, the two verbs of the data path, and blocks in and out."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gmeta_api.errors import CheckpointError
from gmeta_worker.embedding import BLOCKS, Adam, RowOptimizer, RowStore, RowWiseAdagrad, Sgd
from gmeta_worker.embedding.initial import DEVIATION

TABLES = {"movie": 5000, "user": 300}


def make(
    tables: dict[str, int] | None = None,
    *,
    optimizer: RowOptimizer | None = None,
    owned: range = range(BLOCKS),
    seed: int = 3,
) -> RowStore:
    return RowStore(tables or TABLES, 4, optimizer or Adam(), seed, owned=owned)


def ids_of(store: RowStore, table: str, rows: int) -> torch.Tensor:
    return torch.from_numpy(store.row_ids(table, np.arange(rows)))


def rows_of(store: RowStore, table: str, rows: int) -> torch.Tensor:
    return store.lookup(ids_of(store, table, rows))


def trained() -> RowStore:
    store = make()
    for step in range(3):
        ids = ids_of(store, "movie", 5000)[step::2]
        store.update(ids, torch.randn(len(ids), 4, generator=torch.Generator().manual_seed(step)), 0.1)
    return store


def test_initial_rows_depend_on_seed_table_and_row_only() -> None:
    rows = rows_of(make(), "user", 300)
    assert torch.equal(rows, rows_of(make({"user": 300}), "user", 300))
    assert torch.equal(rows, rows_of(make({"user": 9000, "item": 7}), "user", 300))
    assert not torch.isclose(rows, rows_of(make(seed=4), "user", 300)).all(1).any()
    assert not torch.isclose(rows, rows_of(make({"item": 300}), "item", 300)).all(1).any()


def test_initial_rows_are_uniform_and_uncorrelated() -> None:
    rows = rows_of(make({"movie": 50_000}), "movie", 50_000).double()
    assert rows.abs().max() <= DEVIATION * np.sqrt(3)
    assert abs(float(rows.mean())) < 0.001
    assert float(rows.std()) == pytest.approx(DEVIATION, rel=0.01)
    assert np.abs(np.corrcoef(rows.T.numpy()) - np.eye(4)).max() < 0.02
    assert len(rows.unique(dim=0)) == 50_000


@pytest.mark.parametrize("cuts", [[0, BLOCKS], [0, 1000, BLOCKS], [0, 1, 2, 4095, BLOCKS]])
def test_shards_start_as_slices_of_the_whole(cuts: list[int]) -> None:
    whole = make().export_blocks(0, BLOCKS)
    shards = [make(owned=range(lo, hi)) for lo, hi in itertools.pairwise(cuts)]
    for name, tensor in whole.items():
        parts = [shard.export_blocks(shard.blocks().start, shard.blocks().stop)[name] for shard in shards]
        assert torch.equal(torch.cat(parts), tensor)


def test_a_shard_serves_the_ids_of_its_blocks() -> None:
    whole, shard = make(), make(owned=range(1000, 3000))
    ids = ids_of(whole, "movie", 5000)
    pages = -(-sum(TABLES.values()) // BLOCKS)
    mine = ids[(ids >= 1000 * pages) & (ids < 3000 * pages)]
    grads = torch.ones(len(mine), 4)
    for store in (whole, shard):
        store.update(mine, grads, 0.1)
    assert torch.equal(shard.lookup(mine), whole.lookup(mine))
    with pytest.raises(IndexError):
        shard.lookup(torch.tensor([0]))


def test_lookup_gives_a_copy_that_can_be_a_leaf() -> None:
    store = make()
    ids = ids_of(store, "user", 3)
    rows = store.lookup(ids).requires_grad_()
    with torch.no_grad():
        rows += 1
    assert not torch.equal(store.lookup(ids), rows)


def test_an_update_touches_its_rows_only() -> None:
    store = make()
    before = store.export_blocks(0, BLOCKS)
    ids = ids_of(store, "movie", 5000)[[7, 3, 4000]]
    store.update(ids, torch.ones(3, 4), 0.1)
    after = store.export_blocks(0, BLOCKS)
    for name, tensor in before.items():
        changed = (tensor != after[name]).any(1).nonzero().flatten()
        assert changed.tolist() == sorted(ids.tolist()), name


def test_an_empty_update_changes_nothing() -> None:
    store = make()
    before = store.export_blocks(0, BLOCKS)
    store.update(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4), 0.1)
    assert all(torch.equal(before[name], tensor) for name, tensor in store.export_blocks(0, BLOCKS).items())


@pytest.mark.parametrize("ids", [[4, 4], [9, 4, 9], [3, 3, 8]])
def test_repeated_ids_are_refused(ids: list[int]) -> None:
    store = make()
    before = store.export_blocks(0, BLOCKS)
    repeated = max(ids, key=ids.count)
    with pytest.raises(ValueError, match=f"^ids: expected unique ids, received {repeated} more than once; add up its"):
        store.update(torch.tensor(ids), torch.ones(len(ids), 4), 0.1)
    assert all(torch.equal(before[name], tensor) for name, tensor in store.export_blocks(0, BLOCKS).items())


@settings(deadline=None, max_examples=10)
@given(cuts=st.lists(st.integers(0, BLOCKS), max_size=4))
def test_blocks_move_to_any_other_sharding(cuts: list[int]) -> None:
    source, target = trained(), make(seed=99)
    bounds = sorted({0, *cuts, BLOCKS})
    for lo, hi in itertools.pairwise(bounds):
        target.import_blocks(lo, hi, source.export_blocks(lo, hi))
    moved = target.export_blocks(0, BLOCKS)
    assert moved.keys() == {"weights", "first", "second", "steps"}
    assert all(torch.equal(tensor, moved[name]) for name, tensor in source.export_blocks(0, BLOCKS).items())


def test_training_goes_on_after_a_move_as_if_nothing_had_happened() -> None:
    source, target = trained(), make(seed=99)
    target.import_blocks(0, BLOCKS, source.export_blocks(0, BLOCKS))
    ids = ids_of(source, "movie", 100)
    for store in (source, target):
        store.update(ids, torch.ones(100, 4), 0.1)
    assert torch.equal(source.lookup(ids), target.lookup(ids))


def test_exported_blocks_do_not_follow_the_store() -> None:
    store = make()
    exported = store.export_blocks(0, BLOCKS)
    before = exported["weights"].clone()
    store.update(ids_of(store, "movie", 10), torch.ones(10, 4), 0.1)
    assert torch.equal(exported["weights"], before)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            make(optimizer=RowWiseAdagrad()),
            "blocks 0..10: expected the tensors first, second, steps, weights, received sum, weights; the sparse "
            "optimiser must be that of the checkpoint",
        ),
        (
            make(optimizer=Sgd()),
            "blocks 0..10: expected the tensors first, second, steps, weights, received weights; the sparse "
            "optimiser must be that of the checkpoint",
        ),
        (
            make({"movie": 10_000}),
            "blocks 0..10: tensor 'weights': expected shape [20, 4], received [30, 4]; tables and embeddingDim must be "
            "those of the checkpoint",
        ),
    ],
)
def test_blocks_of_another_store_are_refused(source: RowStore, message: str) -> None:
    target = make()
    before = target.export_blocks(0, BLOCKS)
    with pytest.raises(CheckpointError) as error:
        target.import_blocks(0, 10, source.export_blocks(0, 10))
    assert str(error.value) == message
    assert all(torch.equal(before[name], tensor) for name, tensor in target.export_blocks(0, BLOCKS).items())


@pytest.mark.parametrize(("lo", "hi"), [(0, 101), (99, 200), (150, 120)])
def test_blocks_that_the_store_does_not_hold_are_refused(lo: int, hi: int) -> None:
    store = make(owned=range(100, 150))
    with pytest.raises(IndexError) as error:
        store.export_blocks(lo, hi)
    assert str(error.value) == f"expected blocks within 100..150, received {lo}..{hi}"
