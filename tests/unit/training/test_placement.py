"""Placement of rows: contiguous, complete, never empty, and owners that are asked alike on real and on skewed data."""

import csv
import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from many_ranks import SCHEMA, make_batch

from gmeta_worker.embedding import BLOCKS, BlockLayout, ExactVocabulary, Vocabulary
from gmeta_worker.parallel import block_ranges
from gmeta_worker.training.demand import keys_per_task
from gmeta_worker.training.placement import NOTHING_KNOWN, Demand, KeyDemand, expected_loads, place

Ints = np.ndarray
LIMIT = 1.15


@settings(deadline=None)
@given(st.lists(st.one_of(st.just(0.0), st.floats(0, 1e6)), min_size=1, max_size=60), st.data())
def test_every_block_has_one_owner_and_every_rank_a_block(loads: list[float], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(loads)))
    ranges = place(np.array(loads), size)
    assert [block for each in ranges for block in each] == list(range(len(loads)))
    assert len(ranges) == size
    assert all(ranges)


def test_without_a_demand_the_ranges_are_equal() -> None:
    loads = expected_loads(BlockLayout({"movie": 100}), {}, NOTHING_KNOWN)
    assert place(loads, 7)[0] == block_ranges(7)[0]
    assert {len(each) for each in place(loads, 64)} == {64}


def test_a_block_that_is_asked_for_more_often_gets_fewer_neighbours() -> None:
    loads = np.ones(100)
    loads[10] = 20
    first, *others = place(loads, 4)
    assert len(first) < 15
    assert 10 in first
    assert min(len(each) for each in others) > 25


def test_what_is_expected_is_what_independent_samples_ask_for() -> None:
    draw = np.random.default_rng(0)
    shares = np.array([0.9, 0.5, 0.1, 0.01, 0.001])
    keys = np.arange(5)
    vocabulary = ExactVocabulary(keys)
    layout = BlockLayout({"movie": vocabulary.rows})
    loads = expected_loads(layout, {"movie": vocabulary}, {"movie": KeyDemand(keys, shares, draws=30)})
    asked = (draw.random((20_000, 30, 5)) < shares).any(axis=1).mean(axis=0)
    assert loads[layout.ids("movie", vocabulary.index(keys)) // layout.pages] == pytest.approx(asked, abs=0.02)


@dataclass(frozen=True)
class Lookups:
    """What is known of a dataset's keys, and the keys that a rank's part of a step uses, for many ranks and steps."""

    demand: Demand
    parts: Iterator[Mapping[str, Ints]]

    def busiest_over_mean(self, size: int) -> tuple[float, float]:
        """Rows asked of the busiest of `size` owners, over the mean: (equal ranges, ranges by demand)."""
        loads = expected_loads(self.layout, self.vocabularies, self.demand)
        return ratio(self.asked, block_ranges(size)), ratio(self.asked, place(loads, size))

    @cached_property
    def vocabularies(self) -> dict[str, Vocabulary]:
        return {name: ExactVocabulary(use.keys) for name, use in self.demand.items()}

    @cached_property
    def layout(self) -> BlockLayout:
        return BlockLayout({name: vocabulary.rows for name, vocabulary in self.vocabularies.items()})

    @cached_property
    def asked(self) -> Ints:
        """Rows that all parts have asked of each block."""
        by_block = np.zeros(BLOCKS)
        for part in self.parts:
            for name, keys in part.items():
                ids = self.layout.ids(name, self.vocabularies[name].index(np.unique(keys)))
                by_block += np.bincount(ids // self.layout.pages, minlength=BLOCKS)
        return by_block


def ratio(by_block: Ints, ranges: tuple[range, ...]) -> float:
    asked = np.array([by_block[each.start : each.stop].sum() for each in ranges])
    return float(asked.max() / asked.mean())


def criteo_like(part_rows: int = 2048, parts: int = 60) -> Lookups:
    """26 vocabularies of 3 to 100,000 keys (Criteo's, capped), popularity by Zipf's law, keys in no order."""
    draw = np.random.default_rng(0)
    sizes = [1460, 583, 100_000, 100_000, 305, 24, 12_517, 633, 3, 93_145, 5683, 100_000, 3194, 27, 14_992, 100_000]
    sizes += [10, 5652, 2173, 4, 100_000, 18, 15, 100_000, 105, 100_000]
    popularity = {f"C{i}": draw.permutation(1 / np.arange(1, n + 1) ** 1.1) for i, n in enumerate(sizes)}
    shares = {name: p / p.sum() for name, p in popularity.items()}

    def steps() -> Iterator[Mapping[str, Ints]]:
        sums = {name: np.cumsum(p) for name, p in shares.items()}
        for _ in range(parts):
            yield {name: np.searchsorted(s, draw.random(part_rows) * s[-1]) for name, s in sums.items()}

    return Lookups({name: KeyDemand(np.arange(len(p)), p, part_rows) for name, p in shares.items()}, steps())


def movielens_1m(data: Path, tasks: int) -> Lookups:
    """All ratings, a task a user, `tasks` tasks a rank and step; one epoch."""
    with gzip.open(data / "ml-1m/ratings.csv.gz", "rt") as file:
        pairs = np.array([row[:2] for row in list(csv.reader(file))[1:]], dtype=np.int64)
    users = {row[0]: row for row in read(data / "ml-1m/users.dat")}
    movies = {row[0]: row for row in read(data / "ml-1m/movies.dat")}
    genres = {name: number for number, name in enumerate(sorted({g for m in movies.values() for g in m[2].split("|")}))}
    columns = {
        "user": pairs[:, 0],
        "movie": pairs[:, 1],
        "year": np.array([int(movies[m][1].rstrip()[-5:-1]) for m in pairs[:, 1].astype(str)]),
        "gender": np.array([users[u][1] == "M" for u in pairs[:, 0].astype(str)], dtype=np.int64),
        "age": np.array([int(users[u][2]) for u in pairs[:, 0].astype(str)]),
        "occupation": np.array([int(users[u][3]) for u in pairs[:, 0].astype(str)]),
    }
    lists = {int(key): np.array([genres[g] for g in movie[2].split("|")]) for key, movie in movies.items()}
    lengths = np.array([len(lists[movie]) for movie in pairs[:, 1].tolist()])
    listed = np.concatenate([lists[movie] for movie in pairs[:, 1].tolist()])
    uses = {name: (pairs[:, 0], column) for name, column in columns.items()}
    uses["genres"] = (np.repeat(pairs[:, 0], lengths), listed)
    demand = {name: key_demand(*use, len(pairs), tasks) for name, use in uses.items()}
    by_user = np.split(
        np.argsort(pairs[:, 0], kind="stable"), np.cumsum(np.unique(pairs[:, 0], return_counts=True)[1])[:-1]
    )

    def steps() -> Iterator[Mapping[str, Ints]]:
        order = np.random.default_rng(0).permutation(len(by_user))
        for first in range(0, len(order), tasks):
            rows = np.concatenate([by_user[task] for task in order[first : first + tasks]])
            seen = np.concatenate([lists[movie] for movie in np.unique(pairs[rows, 1]).tolist()])
            yield {name: column[rows] for name, column in columns.items()} | {"genres": seen}

    return Lookups(demand, steps())


def key_demand(users: Ints, keys: Ints, rows: int, tasks: int) -> KeyDemand:
    """Of a vocabulary whose key number i is used by a row of `users[i]`."""
    found, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    distinct = len(np.unique(users * len(found) + inverse)) / len(np.unique(users))
    return KeyDemand(found, counts / rows, distinct * tasks)


def read(path: Path) -> list[list[str]]:
    return [line.split("::") for line in path.read_text("latin-1").splitlines()]


def test_owners_are_asked_alike_on_skewed_data() -> None:
    lookups = criteo_like()
    assert max(lookups.busiest_over_mean(8)[1], lookups.busiest_over_mean(64)[1]) <= LIMIT


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("tasks", [4, 32])
def test_owners_are_asked_alike_on_movielens_1m(real_data: Path, tasks: int) -> None:
    lookups = movielens_1m(real_data, tasks)
    assert max(lookups.busiest_over_mean(8)[1], lookups.busiest_over_mean(64)[1]) <= LIMIT
    assert lookups.busiest_over_mean(64)[0] > LIMIT, "equal ranges would do"


def test_keys_of_a_task_count_once_each() -> None:
    batch = make_batch([3, 4])
    found = keys_per_task(batch, SCHEMA)
    for name, columns in {"movie": (0,), "year": (1,)}.items():
        distinct = 0
        for first, last in pairwise(batch.offsets):
            keys = {key for column in columns for key in batch.keys[first:last, column].tolist()}
            if name == "movie":
                offsets, values = batch.multi[0].offsets, batch.multi[0].values
                keys |= set(values[offsets[first] : offsets[last]].tolist())
            distinct += len(keys)
        assert found[name] == distinct / 2
