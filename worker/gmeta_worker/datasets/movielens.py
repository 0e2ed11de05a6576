"""MovieLens-100K as three CSV files, from either of two places that hold it, by checksum."""

import csv
import hashlib
import io
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from gmeta_api.errors import DataError
from gmeta_worker.datasets.folder import record, writing

ADDRESS = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
ZIP_MD5 = "0e33842e24a9c977be4e0107933c0723"
"""Published by GroupLens beside the file."""

REQUIREMENT = "recbole==1.2.1"
WHEEL_FOLDER = "recbole/dataset_example/ml-100k"
WHEEL_SHA256 = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
}
RATINGS_MD5 = "792b7879a573dc935f46e61a713dad3f"
"""Of the normalised ratings.csv, whichever place it came from."""

CONNECT_SECONDS = 5.0
PIP_SECONDS = 120
GENRES = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
"""Genres in the order of the flags of the official u.item."""

LICENSE_SUMMARY = """\
MovieLens-100K was collected by the GroupLens Research Project at the University of Minnesota. Its terms of use allow
research with acknowledgement. They do not allow redistribution without separate permission, commercial or
revenue-bearing use without permission from a faculty member of GroupLens, or a claim of endorsement. The data come
without any warranty. Full terms: https://files.grouplens.org/datasets/movielens/ml-100k-README.txt
Cite: F. M. Harper and J. A. Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015.
"""


@dataclass(frozen=True)
class MovieLens:
    """The data set as rows of text.

    Attributes:
        ratings: user_id, movie_id, rating, timestamp.
        users: user_id, age, gender, occupation, zip_code.
        movies: movie_id, title, year (or nothing), genres separated by ``|``.
    """

    ratings: Sequence[Sequence[str]]
    users: Sequence[Sequence[str]]
    movies: Sequence[Sequence[str]]

    def files(self) -> dict[str, bytes]:
        """Return the three CSV files by name."""
        return {
            "ratings.csv": _csv(("user_id", "movie_id", "rating", "timestamp"), self.ratings),
            "users.csv": _csv(("user_id", "age", "gender", "occupation", "zip_code"), self.users),
            "movies.csv": _csv(("movie_id", "title", "year", "genres"), self.movies),
        }


def fetch(out: Path, report: Callable[[str], None]) -> str:
    """Write ratings.csv, users.csv, movies.csv and LICENSE.txt to ``out`` and return where they come from.

    Args:
        out: Folder to write to; made if it is missing.
        report: Told of a place that failed, before the next is tried.

    Raises:
        DataError: Neither place gave the data.
    """
    places: tuple[tuple[str, Callable[[], MovieLens]], ...] = (
        (ADDRESS, lambda: parse_official(_download())),
        (f"{REQUIREMENT} (PyPI)", lambda: parse_wheel(_pip_download())),
    )
    for origin, load in places:
        try:
            files = load().files()
            _expect("the normalised ratings.csv", RATINGS_MD5, hashlib.md5(files["ratings.csv"]).hexdigest())  # noqa: S324
        except DataError as error:
            report(f"{origin}: {error}")
            continue
        _write(out, origin, {**files, "LICENSE.txt": LICENSE_SUMMARY.encode()})
        return origin
    raise DataError(f"MovieLens-100K is neither at {ADDRESS} nor in {REQUIREMENT}; check the network")


def parse_official(archive: bytes) -> MovieLens:
    """Read GroupLens's zip: u.data (tabs), u.user and u.item (``|``, Latin-1, a flag for each of 19 genres).

    Raises:
        DataError: Not that zip.
    """
    members = _members(archive, ("ml-100k/u.data", "ml-100k/u.user", "ml-100k/u.item"))
    ratings, users, items = (text.decode("latin-1").splitlines() for text in members)
    return MovieLens(
        ratings=[line.split("\t") for line in ratings],
        users=[line.split("|") for line in users],
        movies=[_official_movie(line.split("|")) for line in items],
    )


def parse_wheel(wheel: bytes) -> MovieLens:
    """Read RecBole's wheel: tab-separated files with a header of names and types, genres separated by blanks.

    Raises:
        DataError: Not that wheel, or other files than the ones known.
    """
    members = dict(zip(WHEEL_SHA256, _members(wheel, [f"{WHEEL_FOLDER}/{name}" for name in WHEEL_SHA256]), strict=True))
    for name, expected in WHEEL_SHA256.items():
        _expect(name, expected, hashlib.sha256(members[name]).hexdigest())
    return parse_recbole(members)


def parse_recbole(members: Mapping[str, bytes]) -> MovieLens:
    """Read RecBole's three files, by name."""
    ratings, items, users = (
        [line.split("\t") for line in members[name].decode().splitlines()[1:]]
        for name in ("ml-100k.inter", "ml-100k.item", "ml-100k.user")
    )
    return MovieLens(ratings, users, [_recbole_movie(*row) for row in items])


def _official_movie(fields: Sequence[str]) -> tuple[str, str, str, str]:
    number, title, flags = fields[0], fields[1], fields[5:]
    genres = (genre for genre, flag in zip(GENRES, flags, strict=True) if flag == "1")
    return (number, *_title_and_year(title, ""), "|".join(genres))


def _recbole_movie(number: str, title: str, year: str, genres: str) -> tuple[str, str, str, str]:
    return (number, *_title_and_year(title, year), genres.replace(" ", "|"))


def _title_and_year(title: str, year: str) -> tuple[str, str]:
    """Split "Toy Story (1995)"; titles without a year in brackets keep the year given, if it is one."""
    found = re.match(r"(.*?) ?\((\d{4})\)", title)
    if found:
        return found[1], found[2]
    return title, year if re.fullmatch(r"\d{4}", year) else ""


def _download() -> bytes:
    try:
        response = httpx.get(ADDRESS, timeout=httpx.Timeout(60, connect=CONNECT_SECONDS), follow_redirects=True)
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise DataError(f"no download: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from None
    _expect("ml-100k.zip", ZIP_MD5, hashlib.md5(response.content).hexdigest())  # noqa: S324 - the published digest
    return response.content


def _pip_download() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", folder, REQUIREMENT]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_SECONDS, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise DataError(f"pip download took more than {PIP_SECONDS} s") from None
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            raise DataError(f"pip download failed: {(done.stderr.strip() or 'no wheel').splitlines()[-1]}")
        return wheels[0].read_bytes()


def _members(archive: bytes, names: Iterable[str]) -> list[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            return [file.read(name) for name in names]
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"unexpected archive: {error}") from None


def _expect(what: str, expected: str, found: str) -> None:
    if found != expected:
        raise DataError(f"checksum of {what}: expected {expected}, found {found}")


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def _write(out: Path, origin: str, files: Mapping[str, bytes]) -> None:
    with writing(out):
        for name, content in files.items():
            (out / name).write_bytes(content)
        record(out, origin, files)
