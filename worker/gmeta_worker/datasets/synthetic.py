"""Generated ratings with known task structure: what a meta-learner should find, and any number of rows of it.

The score of item i for user u is  bias_u + quality_i + taste_u . genres_i : the bias is a per-user constant, the taste
weighs genres. Ratings 1 to 5 are the score plus logistic noise, cut at fixed thresholds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gmeta_worker.datasets.folder import record, writing

GENRES = ("Action", "Comedy", "Crime", "Drama", "Fantasy", "Horror", "Romance", "Sci-Fi", "Thriller", "War")
OCCUPATIONS = ("artist", "doctor", "educator", "engineer", "lawyer", "other", "student", "technician")
BLOCK_ROWS = 1_000_000
THRESHOLDS = (-2.5, -1.2, 0.0, 1.5)
"""Where the score is cut into ratings 1 to 5: half of the ratings are 4 or 5."""

SKEW = 2.0
"""Popularity: the share of the first fraction f of the items is f ** (1 / SKEW)."""

Format = Literal["csv", "parquet"]


@dataclass(frozen=True)
class World:
    """The structure behind the ratings.

    Attributes:
        rows_per_user: int64[users].
        bias: float64[users].
        taste: float64[users, genres].
        quality: float64[items].
        genres: float64[items, genres]; a row has one to three equal weights that add up to 1.
    """

    rows_per_user: NDArray[np.int64]
    bias: NDArray[np.float64]
    taste: NDArray[np.float64]
    quality: NDArray[np.float64]
    genres: NDArray[np.float64]


def make_world(rows: int, tasks: int, seed: int) -> World:
    """Draw users and items; there are enough items that no user rates one twice."""
    rng = np.random.default_rng([seed, 0])
    activity = rng.uniform(0.25, 1.75, tasks)
    rows_per_user = np.diff(np.rint(np.concatenate(([0.0], np.cumsum(activity))) / activity.sum() * rows))
    items = max(200, 2 * int(rows_per_user.max()))
    flags = rng.random((items, len(GENRES))).argsort(axis=1) < rng.integers(1, 4, (items, 1))
    return World(
        rows_per_user=rows_per_user.astype(np.int64),
        bias=rng.normal(0, 1.0, tasks),
        taste=rng.normal(0, 2.0, (tasks, len(GENRES))),
        quality=rng.normal(0, 0.7, items),
        genres=flags / flags.sum(axis=1, keepdims=True),
    )


def generate(out: Path, *, rows: int = 100_000, tasks: int | None = None, seed: int = 0, form: Format = "csv") -> World:
    """Write ratings, users and movies to ``out`` in blocks, and return the world behind them.

    Args:
        out: Folder to write to; made if it is missing.
        rows: Ratings.
        tasks: Users; one for every 100 ratings if it is not given.
        seed: The same seed gives the same files.
        form: ``csv`` or ``parquet``.
    """
    world = make_world(rows, tasks or max(rows // 100, 10), seed)
    names = [f"{name}.{form}" for name in ("ratings", "users", "movies")]
    with writing(out):
        _write(out / names[0], _ratings(world, seed), form)
        _write(out / names[1], iter([_users(world, seed)]), form)
        _write(out / names[2], iter([_movies(world, seed)]), form)
        record(out, f"generated: {rows} rows, seed {seed}", names)
    return world


def _ratings(world: World, seed: int) -> Iterator[pa.RecordBatch]:
    ends = np.cumsum(world.rows_per_user)
    blocks = np.searchsorted(ends, np.arange(0, ends[-1], BLOCK_ROWS))
    for number, (first, last) in enumerate(zip(blocks, [*blocks[1:], len(ends)], strict=True)):
        yield _block(world, np.arange(first, last), np.random.default_rng([seed, 1, number]))


def _block(world: World, users: NDArray[np.int64], rng: np.random.Generator) -> pa.RecordBatch:
    counts = world.rows_per_user[users]
    user = np.repeat(users, counts)
    item = _items(counts, len(world.quality), rng)
    score = world.bias[user] + world.quality[item] + np.einsum("ng,ng->n", world.taste[user], world.genres[item])
    columns = {
        "user_id": user + 1,
        "movie_id": item + 1,
        "rating": np.digitize(score + rng.logistic(size=len(user)), THRESHOLDS) + 1,
        "timestamp": rng.integers(874_724_710, 893_286_638, len(user)),
    }
    order = rng.permutation(len(user))
    return pa.record_batch({name: pa.array(values[order]) for name, values in columns.items()})


def _items(counts: NDArray[np.int64], items: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw distinct items for each user, popular ones more often: one from each of n equal strata of popularity."""
    starts = np.cumsum(counts) - counts
    place = np.arange(counts.sum(), dtype=np.int64) - np.repeat(starts, counts)
    share = (place + rng.random(len(place))) / np.repeat(counts, counts)
    rank: NDArray[np.int64] = (items / 2 * share**SKEW).astype(np.int64)
    # Strata at the popular end are narrower than an item; the place, below items / 2 too, keeps a user's items apart.
    items_of_users: NDArray[np.int64] = rank + place
    return items_of_users


def _users(world: World, seed: int) -> pa.RecordBatch:
    rng = np.random.default_rng([seed, 2])
    count = len(world.bias)
    return pa.record_batch(
        {
            "user_id": pa.array(np.arange(1, count + 1)),
            "age": pa.array(rng.integers(16, 70, count)),
            "gender": pa.array(np.array(["F", "M"])[rng.integers(0, 2, count)]),
            "occupation": pa.array(np.array(OCCUPATIONS)[rng.integers(0, len(OCCUPATIONS), count)]),
            "zip_code": pa.array([f"{code:05d}" for code in rng.integers(0, 100_000, count)]),
        }
    )


def _movies(world: World, seed: int) -> pa.RecordBatch:
    count = len(world.quality)
    names = np.array(GENRES)
    return pa.record_batch(
        {
            "movie_id": pa.array(np.arange(1, count + 1)),
            "title": pa.array([f"Movie {number}" for number in range(1, count + 1)]),
            "year": pa.array(np.random.default_rng([seed, 3]).integers(1930, 1999, count)),
            "genres": pa.array(["|".join(names[weights > 0]) for weights in world.genres]),
        }
    )


def _write(path: Path, batches: Iterator[pa.RecordBatch], form: Format) -> None:
    first = next(batches)
    make = pa_csv.CSVWriter if form == "csv" else pq.ParquetWriter
    with make(path, first.schema) as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)
