"""Tables of MovieLens-1M as CSV and how to prepare them, for the protocols that are cut from it."""

import csv
import gzip
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

TASK = {"task": ["user_id"], "labels": [{"name": "click", "rule": "rating >= 4"}]}
SIDE_TABLES = [{"source": "users.csv", "using": ["user_id"]}, {"source": "movies.csv", "using": ["movie_id"]}]
SEEDED_ORDER = "(user_id * 7919 + movie_id * 104729) % 1000003"
"""SQL of a fixed random order of a user's rows."""


def features(**age: str) -> list[dict[str, object]]:
    """List the features of the tables; ``age`` may be taken as a category or as a number."""
    return [
        {"name": "movie", "type": "categorical", "columns": ["movie_id"]},
        {"name": "year", "type": "categorical", "columns": ["year"]},
        {"name": "gender", "type": "categorical", "columns": ["gender"]},
        {"name": "age", "columns": ["age"], **age},
        {"name": "occupation", "type": "categorical", "columns": ["occupation"]},
        {"name": "genres", "type": "multi", "columns": ["genres"], "separator": "|"},
    ]


def write_movies(data: Path, folder: Path) -> None:
    """Write movies.csv: movie_id, year, genres."""
    rows = ([movie, _year(title), genres] for movie, title, genres in _fields(data / "ml-1m/movies.dat"))
    write_csv(folder / "movies.csv", "movie_id,year,genres", rows)


def users(data: Path) -> Iterator[list[str]]:
    """List the users: user_id, gender, age, occupation."""
    return (fields[:4] for fields in _fields(data / "ml-1m/users.dat"))


def unpack(source: Path, target: Path) -> None:
    """Write a csv.gz as csv."""
    with gzip.open(source) as packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file)


def write_csv(path: Path, header: str, rows: Iterable[Sequence[object]]) -> None:
    """Write rows below a header."""
    with path.open("w", newline="") as file:
        file.write(header + "\n")
        csv.writer(file, lineterminator="\n").writerows(rows)


def _fields(path: Path) -> Iterator[list[str]]:
    return (line.split("::") for line in path.read_text("latin-1").splitlines())


def _year(title: str) -> str:
    found = re.search(r"\((\d{4})\)\s*$", title)
    return found[1] if found else ""
