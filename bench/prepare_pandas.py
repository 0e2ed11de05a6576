"""The job of `prepare` in pandas: the peer of that benchmark, in a process of its own.

Joins, labels, hashed keys, out-of-fold rates and counts, standardised numbers, tasks shuffled and split, rows grouped
by task in time order, Arrow files of about 64k rows, task indexes and vocabularies: what `gmeta prepare` writes, by
whole columns in memory as pandas works, without checks, messages, checksums or counts of duplicates.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
from numpy.typing import NDArray

CHUNK_ROWS, FOLDS, SHRINKAGE = 65_536, 5, 20.0
SPLITS = {"train": 0.8, "valid": 0.9, "test": 1.0}
Frame = Any
"""pandas has no types here: a frame, or one of its columns."""

Array = NDArray[Any]


def prepare(raw: Path, out: Path) -> dict[str, int]:
    """Write the dataset; its rows and positives."""
    frame = _joined(raw)
    frame["split"], frame["fold"], frame["place"] = _dealt(frame["user_id"])
    frame = frame.sort_values(["split", "place", "timestamp"], kind="stable", ignore_index=True)
    _add_numbers(frame)
    for number, name in enumerate(SPLITS):
        _write_split(frame[frame["split"] == number], out / name)
    train = frame[frame["split"] == 0]
    _write_vocabularies(train, out)
    return {"rows": len(frame), "positives": int(frame["click"].sum())}


def _joined(raw: Path) -> Frame:
    movies = pd.read_csv(raw / "movies.csv")[["movie_id", "genres"]]
    movies["genres"] = [[_key(word) for word in text.split("|")] for text in movies["genres"]]
    users = pd.read_csv(raw / "users.csv")[["user_id", "age", "occupation"]]
    users["occupation"] = users["occupation"].map(_key)
    frame = pd.read_csv(raw / "ratings.csv").merge(users, on="user_id", how="left")
    frame = frame.merge(movies, on="movie_id", how="left")
    frame["click"] = (frame["rating"] >= 4).astype(np.float32)
    return frame


def _key(value: object) -> int:
    """As Meta-IO: a whole number is its own key, other text is the last eight bytes of its MD5."""
    text = str(value)
    if text.lstrip("-").isdigit():
        return int(text)
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little", signed=True)


def _dealt(users: Frame) -> tuple[Array, Array, Array]:
    """Split, fold and place of each row's task: tasks shuffled once, folds in turn."""
    codes, tasks = pd.factorize(users)
    place = np.random.default_rng(0).permutation(len(tasks))
    split = np.searchsorted([SPLITS["train"] * len(tasks), SPLITS["valid"] * len(tasks)], place, side="right")
    return split[codes], (place % FOLDS)[codes], place[codes]


def _add_numbers(frame: Frame) -> None:
    train = frame["split"] == 0
    frame["age"] = _standardised(frame["age"].astype(np.float64), train)
    rows, positives = _statistics(frame, train)
    overall = positives[0] / rows[0]
    logit = np.log(overall / (1 - overall))
    smoothed = positives[1] + SHRINKAGE * overall, rows[1] - positives[1] + SHRINKAGE * (1 - overall)
    frame["movie_rate"] = np.log(smoothed[0] / smoothed[1]) - logit
    scale = np.where(train, FOLDS / (FOLDS - 1), 1.0)
    frame["movie_count"] = _standardised(np.log1p(rows[1] * scale), train)


def _statistics(frame: Frame, train: Frame) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """(of all, of the movie) rows and positives that each row may see: of the other folds for a train row."""
    seen = frame[train]
    by_movie = seen.groupby("movie_id")["click"].agg(["size", "sum"])
    by_fold = seen.groupby(["movie_id", "fold"])["click"].agg(["size", "sum"])
    of_movie = by_movie.reindex(frame["movie_id"]).fillna(0).to_numpy()
    own = by_fold.reindex(pd.MultiIndex.from_frame(frame[["movie_id", "fold"]])).fillna(0).to_numpy()
    whole = seen["click"].agg(["size", "sum"]).to_numpy()
    fold = seen.groupby("fold")["click"].agg(["size", "sum"]).reindex(frame["fold"]).to_numpy()
    mask = train.to_numpy()[:, None]
    total, movie = whole - np.where(mask, fold, 0), of_movie - np.where(mask, own, 0)
    return (total[:, 0], movie[:, 0]), (total[:, 1], movie[:, 1])


def _standardised(values: Frame, train: Frame) -> Frame:
    return (values - values[train].mean()) / (values[train].std(ddof=0) or 1.0)


def _write_split(frame: Frame, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sizes = frame.groupby("place", sort=True).size().to_numpy()
    ends = np.cumsum(sizes)
    chunk = (ends - sizes) // CHUNK_ROWS
    feather.write_feather(pa.table({"chunk": chunk, "rows": sizes}), folder / "tasks.arrow", compression="uncompressed")
    last = ends[np.append(np.flatnonzero(np.diff(chunk)), len(ends) - 1)] if len(ends) else []
    first = 0
    for number, end in enumerate(last):
        _write_chunk(frame.iloc[first:end], folder / f"chunk-{number:05d}.arrow")
        first = int(end)


def _write_chunk(frame: Frame, path: Path) -> None:
    def fixed(columns: list[str], of: pa.DataType) -> pa.Array:
        values = np.ascontiguousarray(frame[columns].to_numpy(of.to_pandas_dtype()).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(pa.array(values), len(columns))

    columns = {
        "keys": fixed(["movie_id", "occupation"], pa.int64()),
        "numeric": fixed(["age", "movie_rate", "movie_count"], pa.float32()),
        "labels": fixed(["click"], pa.float32()),
        "multi:genres": pa.array(frame["genres"].to_list(), pa.list_(pa.int64())),
    }
    feather.write_feather(pa.table(columns), path, compression="uncompressed")


def _write_vocabularies(train: Frame, out: Path) -> None:
    for name in ("movie_id", "occupation", "genres"):
        counts = train[name].explode().value_counts().sort_index()
        table = pa.table({"key": counts.index.to_numpy(np.int64), "count": counts.to_numpy()})
        feather.write_feather(table, out / f"{name}.arrow", compression="uncompressed")
