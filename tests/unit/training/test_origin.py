"""A job starts from what another one has learned: rows find their places by key, though the tables have grown."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from committed import commit, train_and_write
from many_ranks import BUILDING, KEYS, SCHEMA, job, make_batch
from numpy.typing import NDArray
from threaded_group import run_ranks

from gmeta_api.errors import CheckpointError
from gmeta_api.spec import Spec
from gmeta_worker.checkpoint import Commit, Layout, LoadedCommit, Score, Table, load_commit
from gmeta_worker.parallel import ALONE, Group
from gmeta_worker.training.commits import layout_of
from gmeta_worker.training.components import Components, build_components
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.origin import grown_keys, open_origin, take_over

Ints = NDArray[np.int64]
SPEC = job("MAML", dense="Adam", sparse="Adam", rate=0.1)
LATER = {"movie": np.array([-5, 3, 4, 7, 30, 31]), "year": np.arange(2, 6)}
"""The keys of a later dataset: some are gone, some are new, before, between and after the old ones."""


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Commit:
    """What two ranks have learned."""
    run = tmp_path_factory.mktemp("origin")
    done = run_ranks(2, lambda group: train_and_write(SPEC, group, [make_batch([7, 3, 9])], run))
    return commit(run, [shard for _, shard in done])


def built(keys: Mapping[str, Ints], group: Group = ALONE, spec: Spec = SPEC) -> Components:
    with BUILDING:
        return build_components(spec, SCHEMA, keys, torch.device("cpu"), group)


def started(found: Commit, group: Group, *, with_state: bool) -> tuple[Components, DenseOptimizer]:
    """A rank of a job on the later data that starts from `found`."""
    loaded = load_commit(found)
    parts = built(grown_keys(LATER, loaded), group)
    optimizer = DenseOptimizer(SPEC.optimizer.dense, parts.model)
    take_over(loaded, parts, layout_of(parts, 4), optimizer, with_state=with_state)
    return parts, optimizer


def by_key(parts: list[Components], keys: Mapping[str, Ints], tensors: list[dict[str, torch.Tensor]]) -> dict[Any, Any]:
    """(table, key) -> the row's numbers in every tensor; key None is the row of unknown keys."""
    whole = {name: torch.cat([each[name] for each in tensors]).float() for name in tensors[0]}
    found = {}
    for table in parts[0].vocabularies:
        for key in (None, *keys[table].tolist()):
            row = 0 if key is None else int(parts[0].vocabularies[table].index(np.array([key]))[0])
            place = int(parts[0].store.row_ids(table, np.array([row]))[0])
            found[table, key] = {name: tensor[place].tolist() for name, tensor in whole.items()}
    return found


def exported(parts: Components) -> dict[str, torch.Tensor]:
    blocks = parts.store.blocks()
    return parts.store.export_blocks(blocks.start, blocks.stop)


def learned(found: Commit) -> dict[Any, Any]:
    old = built(KEYS)
    whole = [tensors for _, _, tensors in load_commit(found).row_groups()]
    return by_key([old], KEYS, whole)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("with_state", [False, True])
def test_every_old_key_keeps_its_row_and_every_new_one_begins(size: int, with_state: bool, origin: Commit) -> None:
    ranks = run_ranks(size, lambda group: started(origin, group, with_state=with_state))
    parts = [each for each, _ in ranks]
    union = {name: np.union1d(KEYS[name], LATER[name]) for name in KEYS}
    now = by_key(parts, union, [exported(each) for each in parts])
    fresh = by_key([built(union)], union, [exported(built(union))])
    before = learned(origin)
    assert len(now) == 2 + len(union["movie"]) + len(union["year"])
    for (table, key), row in now.items():
        if (table, key) not in before:
            assert row == fresh[table, key]
        elif with_state:
            assert row == before[table, key]
        else:
            assert row["weights"] == before[table, key]["weights"]
            assert {name: row[name] for name in ("first", "second", "steps")} == {
                "first": [0.0] * 4, "second": [0.0] * 4, "steps": [0.0],
            }  # fmt: skip


@pytest.mark.parametrize("with_state", [False, True])
def test_the_dense_part_comes_with_or_without_its_optimisers_state(with_state: bool, origin: Commit) -> None:
    parts, optimizer = started(origin, ALONE, with_state=with_state)
    dense = load_commit(origin).dense
    for name, tensor in parts.model.state_dict().items():
        assert torch.equal(tensor, dense[f"model/{name}"].to(tensor))
    assert bool(optimizer.export()) == with_state
    for name, tensor in optimizer.export().items():
        assert torch.equal(tensor, dense[f"optimizer/{name}"])


def test_tables_that_only_one_of_the_two_has(origin: Commit) -> None:
    loaded = load_commit(origin)
    manifest = loaded.manifest
    tables = {"movie": manifest.layout.tables["movie"], "gone": manifest.layout.tables["year"]}
    renamed = manifest.model_copy(update={"layout": manifest.layout.model_copy(update={"tables": tables})})
    other = LoadedCommit(
        Commit(renamed, loaded.commit.folder),
        loaded.dense,
        {"movie": loaded.vocabularies["movie"], "gone": loaded.vocabularies["year"]},
    )
    parts = built(grown_keys(KEYS, other))
    take_over(other, parts, layout_of(parts, 4), DenseOptimizer(SPEC.optimizer.dense, parts.model), with_state=True)
    now, before, fresh = by_key([parts], KEYS, [exported(parts)]), learned(origin), built(KEYS)
    initial = by_key([fresh], KEYS, [exported(fresh)])
    for (table, key), row in now.items():
        assert row == (before if table == "movie" else initial)[table, key]


def layout_with(**changes: Any) -> Callable[[Layout], Layout]:
    return lambda layout: layout.model_copy(update=changes)


def as_hash(layout: Layout) -> Layout:
    return layout_with(tables=layout.tables | {"movie": Table(rows=26, vocabulary="hash")})(layout)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (layout_with(dim=8), "it has embedding rows of 4 numbers, this job's have 8"),
        (layout_with(blocks=1024), "it has 4096 virtual blocks, this job has 1024"),
        (as_hash, "table 'movie': it has 26 rows (exact vocabulary), this job has 26 rows (hash vocabulary)"),
    ],
)
def test_what_does_not_fit_is_told(change: Callable[[Layout], Layout], difference: str, origin: Commit) -> None:
    parts = built(KEYS)
    before = exported(parts)
    with pytest.raises(CheckpointError) as error:
        take_over(
            load_commit(origin),
            parts,
            change(layout_of(parts, 4)),
            DenseOptimizer(SPEC.optimizer.dense, parts.model),
            with_state=False,
        )
    assert str(error.value) == (
        f"{origin.folder}: this job cannot start from it: {difference}; an exact vocabulary may grow, all else must be "
        "the same: change spec.model, or remove spec.training.initFrom"
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in exported(parts).items())


def test_the_state_of_other_optimisers_is_refused_and_their_weights_are_not(origin: Commit) -> None:
    spec = job("MAML", dense="Adam", sparse="SGD", rate=0.1)
    loaded, parts = load_commit(origin), built(KEYS, spec=spec)
    optimizer = DenseOptimizer(spec.optimizer.dense, parts.model)
    with pytest.raises(CheckpointError) as error:
        take_over(loaded, parts, layout_of(parts, 4), optimizer, with_state=True)
    assert str(error.value) == (
        f"{origin.folder}: tensor 'first' of the rows: expected no such tensor, received shape [13, 4]; embeddingDim "
        "and the sparse optimiser must be those of the checkpoint, or set spec.training.initFrom.optimizer to false"
    )
    take_over(loaded, parts, layout_of(parts, 4), optimizer, with_state=False)


def test_all_ranks_start_from_what_rank_0_finds(origin: Commit, tmp_path: Path) -> None:
    """The other job may make a commit, and delete one, at any moment."""
    run = origin.folder.parent.parent

    def opened(group: Group) -> LoadedCommit:
        return open_origin(run if group.rank == 0 else _with_a_newer_commit(origin, tmp_path), group)

    for loaded in run_ranks(2, opened):
        assert loaded.manifest.position == origin.manifest.position
    for loaded in run_ranks(2, lambda group: open_origin(origin.folder, group)):
        assert loaded.commit.folder == origin.folder
    with pytest.raises(CheckpointError, match=r"nothing: no commit to read; train first, or give the folder of a run$"):
        open_origin(tmp_path / "nothing", ALONE)


def _with_a_newer_commit(origin: Commit, folder: Path) -> Path:
    """The same run as another rank sees it a moment later."""
    if not (folder / "a0").exists():
        shutil.copytree(str(origin.folder), folder / "a0" / origin.folder.name)
        newer = origin.manifest.model_copy(
            update={
                "step": 99,
                "ledger": origin.manifest.ledger.model_copy(update={"global_step": 99}),
                "evaluation": Score(metric="auc", value=0.9),
            }
        )
        shutil.copytree(str(origin.folder), folder / "a0" / "s99")
        (folder / "a0" / "s99" / "manifest.json").write_text(newer.model_dump_json())
    return folder
