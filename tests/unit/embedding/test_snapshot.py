"""A snapshot is what an export would have given at its moment, whatever happens to the store meanwhile."""

import itertools
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gmeta_worker.embedding import BLOCKS, Adam, RowOptimizer, RowStore, RowWiseAdagrad, Sgd

TABLES = {"movie": 9000, "user": 300}
OWNED = range(1000, 3000)
OPTIMIZERS = (Sgd, RowWiseAdagrad, Adam)


def make(optimizer: RowOptimizer, owned: range = OWNED) -> RowStore:
    store = RowStore(TABLES, 4, optimizer, 3, owned=owned)
    update(store, 0)
    return store


def update(store: RowStore, seed: int, rows: int = 500) -> None:
    """One step on random rows of the store."""
    draw = torch.Generator().manual_seed(seed)
    pages, owned = -(-sum(TABLES.values()) // BLOCKS), store.blocks()
    ids = torch.randperm(len(owned) * pages, generator=draw)[:rows] + owned.start * pages
    store.update(ids, torch.randn(len(ids), 4, generator=draw), 0.1)


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert all(torch.equal(tensor, right[name]) for name, tensor in left.items())


@settings(deadline=None, max_examples=40)
@given(
    optimizer=st.sampled_from(OPTIMIZERS),
    cuts=st.lists(st.integers(OWNED.start + 1, OWNED.stop - 1), max_size=4, unique=True),
    updates=st.lists(st.lists(st.integers(1, 10**6), max_size=3), min_size=5, max_size=5),
)
def test_updates_between_the_exports_are_not_seen(
    optimizer: type[RowOptimizer], cuts: list[int], updates: list[list[int]]
) -> None:
    store, undisturbed = make(optimizer()), make(optimizer())
    bounds = [OWNED.start, *sorted(cuts), OWNED.stop]
    expected = [store.export_blocks(lo, hi) for lo, hi in itertools.pairwise(bounds)]
    snapshot = store.snapshot()
    for (lo, hi), whole, seeds in zip(itertools.pairwise(bounds), expected, updates, strict=False):
        for seed in seeds:
            update(store, seed)
            update(undisturbed, seed)
        assert_same(snapshot.export_blocks(lo, hi), whole)
    snapshot.close()
    now = store.export_blocks(OWNED.start, OWNED.stop)
    assert_same(now, undisturbed.export_blocks(OWNED.start, OWNED.stop))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_thread_exports_while_another_updates(optimizer: type[RowOptimizer]) -> None:
    store = make(optimizer(), range(BLOCKS))
    cuts = range(0, BLOCKS + 1, 256)
    for repeat in range(5):
        expected = [store.export_blocks(lo, hi) for lo, hi in itertools.pairwise(cuts)]
        snapshot = store.snapshot()
        exported: list[dict[str, torch.Tensor]] = []

        updated = threading.Event()

        def export() -> None:
            for lo, hi in itertools.pairwise(cuts):
                assert updated.wait(60)  # noqa: B023  # joined below
                updated.clear()  # noqa: B023
                exported.append(snapshot.export_blocks(lo, hi))  # noqa: B023

        writer = threading.Thread(target=export)
        writer.start()
        steps = 0
        while writer.is_alive():
            update(store, 1000 * repeat + steps, rows=3000)
            steps += 1
            updated.set()
        writer.join()
        snapshot.close()
        assert steps >= len(exported), "an update before each export, and others beside it"
        for ours, theirs in zip(exported, expected, strict=True):
            assert_same(ours, theirs)


def test_a_row_is_saved_once_and_only_until_it_is_exported() -> None:
    store = make(Sgd())
    snapshot = store.snapshot()
    for seed in range(20):
        update(store, seed)
    saved = sum(len(places) for places, _ in snapshot._saved)
    assert saved <= len(OWNED) * 3, "as many as there are rows, at most"
    snapshot.export_blocks(OWNED.start, OWNED.stop)
    for seed in range(100, 110):
        update(store, seed)
    assert sum(len(places) for places, _ in snapshot._saved) == saved
    assert snapshot.seconds > 0


def test_one_snapshot_at_a_time_read_once_upwards() -> None:
    store = make(Sgd())
    snapshot = store.snapshot()
    with pytest.raises(RuntimeError, match="one snapshot at a time"):
        store.snapshot()
    snapshot.export_blocks(1500, 2000)
    with pytest.raises(
        ValueError, match=r"^blocks 1400\.\.1600: a snapshot is read once, upwards, and is at block 2000"
    ):
        snapshot.export_blocks(1400, 1600)
    snapshot.close()
    assert store.snapshot() is not snapshot
