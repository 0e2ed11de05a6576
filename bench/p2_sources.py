"""Protocol P2 of MovieLens-1M: items as tasks, the split of Meta-Embedding (arXiv 1904.11547).

The 1,058 published movies of 300 rows or more train; one in ten of them, by number, validates. Of every cold movie the
rows of its three warm-up sets of 20, in their order, have the ranks 1 to 60; all other rows of it are query.
"""

import csv
import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.movielens_1m import users, write_csv, write_movies

VALID_EVERY = 10
WARM_UP = ("warm_a", "warm_b", "warm_c")


def write_sources(data: Path, folder: Path) -> None:
    """Write P2's tables from the folder of real data sets as CSV into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    published = list(_rows(data / "ml-1m/splits/p2_metaembedding.csv.gz"))
    parts = {row["movie_id"]: part_of(row) for row in published}
    ranks = rank_warm_up(published)
    ratings = _rows(data / "ml-1m/ratings.csv.gz")
    found = (
        (row["user_id"], movie, row["rating"], ranks.get((row["user_id"], movie), ""), parts[movie])
        for row in ratings
        if (movie := row["movie_id"]) in parts
    )
    write_csv(folder / "ratings.csv", "user_id,movie_id,rating,rank,part", found)
    write_csv(folder / "users.csv", "user_id,gender,age,occupation", users(data))
    write_movies(data, folder)


def part_of(row: dict[str, str]) -> str:
    """The split that a published row's movie belongs to."""
    if not row["part"].startswith("meta"):
        return "test"
    return "valid" if int(row["movie_id"]) % VALID_EVERY == 0 else "train"


def rank_warm_up(published: Iterable[dict[str, str]]) -> dict[tuple[str, str], int]:
    """Number each movie's warm-up rows from 1, set by set, by user and movie."""
    ranks: dict[tuple[str, str], int] = {}
    count: dict[str, int] = {}
    warm = sorted((row for row in published if row["part"] in WARM_UP), key=lambda row: row["part"])
    for row in warm:
        movie = row["movie_id"]
        ranks[row["user_id"], movie] = count[movie] = count.get(movie, 0) + 1
    return ranks


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        yield from csv.DictReader(file)
