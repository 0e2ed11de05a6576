"""What a bad source says: every rule's message, whole."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.metaio.prepared import RATINGS, SPEC, prepare

from gmeta_api.errors import DataError
from gmeta_api.exit_codes import ExitCode
from gmeta_api.load import validate
from gmeta_api.spec.prepare import PrepareSpec
from gmeta_worker.metaio.prepare import run
from gmeta_worker.metaio.prepare.engine import Engine

AGE = [{"name": "age", "type": "numeric", "columns": ["age"]}]


@dataclass(frozen=True)
class Case:
    """Files and changes to the spec, and the whole message; ``{root}`` is the folder of the files."""

    message: str
    files: Mapping[str, str | bytes] = field(default_factory=lambda: {"ratings.csv": RATINGS})
    changes: Mapping[str, Any] = field(default_factory=dict)


def ratings(*lines: str, header: str = "user,item,rating,time") -> dict[str, str | bytes]:
    return {"ratings.csv": "\n".join([header, *lines]) + "\n"}


def ages(*values: str) -> dict[str, str | bytes]:
    lines = [f"1,{number},5,0,{value}" for number, value in enumerate(values)]
    return ratings(*lines, header="user,item,rating,time,age")


def joined(side: str) -> dict[str, str | bytes]:
    return {"ratings.csv": RATINGS, "items.csv": side}


JOIN = {"joins": [{"source": "items.csv", "using": ["item"]}]}

CASES = {
    "missing file": Case(
        "source ratings.csv: no such file below {root}; check the path and the volume's folder", files={}
    ),
    "empty file": Case(
        "source ratings.csv: ratings.csv is empty; expected a header line and rows", files={"ratings.csv": ""}
    ),
    "header only": Case(
        "source ratings.csv: no rows; expected at least one below the header",
        files={"ratings.csv": "user,item,rating\n"},
    ),
    "line too short": Case(
        "source ratings.csv: ratings.csv, line 3: expected 4 fields, found 2; correct or remove the line",
        files=ratings("1,1,5,0", "1,2"),
    ),
    "line too long": Case(
        "source ratings.csv: ratings.csv, line 2: expected 4 fields, found 5; correct or remove the line",
        files=ratings("1,1,5,0,9", "1,2,5,0"),
    ),
    "not UTF-8": Case(
        "source ratings.csv: ratings.csv, line 3: not UTF-8; convert the file to UTF-8",
        files={"ratings.csv": b"user,item,rating,time\n1,1,5,0\n1,caf\xe9,5,0\n"},
    ),
    "header not UTF-8": Case(
        "source ratings.csv: the header of ratings.csv is not UTF-8; convert the file to UTF-8",
        files={"ratings.csv": b"user,it\xe9m,rating\n1,1,5\n"},
    ),
    "truncated gzip": Case(
        "source ratings.csv.gz: ratings.csv.gz cannot be read: Compressed file ended before the end-of-stream marker "
        "was reached",
        files={"ratings.csv.gz": gzip.compress(RATINGS.encode())[:40]},
        changes={"source": "ratings.csv.gz"},
    ),
    "not gzip": Case(
        "source ratings.csv.gz: ratings.csv.gz cannot be read: Not a gzipped file (b'us')",
        files={"ratings.csv.gz": RATINGS},
        changes={"source": "ratings.csv.gz"},
    ),
    "truncated Parquet": Case(
        "source ratings.parquet: ratings.parquet is not a readable Parquet file: Parquet magic bytes not found in "
        "footer. Either the file is corrupted or this is not a parquet file.",
        files={"ratings.parquet": b"PAR1" + b"\0" * 60},
        changes={"source": "ratings.parquet"},
    ),
    "unknown format": Case(
        "source ratings.log: cannot tell the format of ratings.log; set format to csv or parquet",
        files={"ratings.log": RATINGS},
        changes={"source": "ratings.log"},
    ),
    "column twice": Case(
        "source ratings.csv: ratings.csv has the column 'item' twice; rename one",
        files=ratings("1,1,5,0", header="user,item,rating,item"),
    ),
    "files with different columns": Case(
        "source *.csv: b.csv has columns user, item, stars, but a.csv has user, item, rating; all files of a source "
        "need the same columns",
        files={"a.csv": "user,item,rating\n1,1,5\n", "b.csv": "user,item,stars\n1,1,5\n"},
        changes={"source": "*.csv"},
    ),
    "missing task column": Case(
        "task: no column 'usr'; did you mean 'user'? (ratings.csv has user, item, rating, time)",
        changes={"task": ["usr"]},
    ),
    "missing feature column": Case(
        "feature age: no column 'age' (ratings.csv has user, item, rating, time)", changes={"features": AGE}
    ),
    "missing column in a rule": Case(
        "label click: no column 'ratng >= 4'; did you mean 'rating'? (ratings.csv has user, item, rating, time)",
        changes={"labels": [{"name": "click", "rule": "ratng >= 4"}]},
    ),
    "one of two columns missing in a rule": Case(
        "label click: 'rating >= limit_of_user': Referenced column \"limit_of_user\" not found in FROM clause!",
        changes={"labels": [{"name": "click", "rule": "rating >= limit_of_user"}]},
    ),
    "rule is no SQL": Case(
        "label click: 'rating >= ' is not an SQL expression",
        changes={"labels": [{"name": "click", "rule": "rating >= "}]},
    ),
    "rule is several statements": Case(
        "label click: 'rating); DROP TABLE source_0; SELECT (1' is not an SQL expression",
        changes={"labels": [{"name": "click", "rule": "rating); DROP TABLE source_0; SELECT (1"}]},
    ),
    "rule reads a file": Case(
        "label click: \"rating >= (SELECT count(*) FROM read_text('/etc/hostname'))\": Cannot access file "
        '"/etc/hostname" - file system operations are disabled by configuration',
        changes={"labels": [{"name": "click", "rule": "rating >= (SELECT count(*) FROM read_text('/etc/hostname'))"}]},
    ),
    "label is not 0 or 1": Case(
        "label click: 'rating' gives 3 in row 1, expected true or false, 1 or 0, or null; compare the column with a "
        "value, such as 'rating >= 4'",
        files=ratings("1,1,3,0", "1,2,3,0"),
        changes={"labels": [{"name": "click", "rule": "rating"}]},
    ),
    "label is NaN": Case(
        "label click: 'rating' gives nan in row 2, expected true or false, 1 or 0, or null; compare the column with a "
        "value, such as 'rating >= 4'",
        files=ratings("1,1,1,0", "1,2,nan,0"),
        changes={"labels": [{"name": "click", "rule": "rating"}]},
    ),
    "label is text": Case(
        "label click: 'item' gives VARCHAR, expected true or false, 1 or 0, or null",
        files=ratings("1,a,3,0"),
        changes={"labels": [{"name": "click", "rule": "item"}]},
    ),
    "rule does not fit a value": Case(
        "label click: 'rating >= 4': Cannot compare values of type VARCHAR and type INTEGER_LITERAL - an explicit "
        "cast is required; column 'rating' is text, for 'five' is no number",
        files=ratings("1,1,5,0", "1,2,five,0"),
    ),
    "text in a numeric column": Case(
        "feature age: expected a number in 'age', found 'old' in row 2; correct it or make the feature categorical",
        files=ages("30", "old"),
        changes={"features": AGE},
    ),
    "infinite number": Case(
        "feature age: inf in row 2 is not a finite 32-bit number; correct it or leave it empty",
        files=ages("30", "inf"),
        changes={"features": AGE},
    ),
    "number beyond float32": Case(
        "feature age: -1e+300 in row 2 is not a finite 32-bit number; correct it or leave it empty",
        files=ages("30", "-1e300"),
        changes={"features": AGE},
    ),
    "log1p of -1": Case(
        "feature age: log1p needs values above -1, found -1 in row 2; use transform standardize",
        files=ages("30", "-1"),
        changes={"features": [{**AGE[0], "transform": "log1p"}]},
    ),
    "multi without separator": Case(
        "feature item: column 'item' is no list; set a separator",
        changes={"features": [{"name": "item", "type": "multi", "columns": ["item"]}]},
    ),
    "order by time without a time": Case(
        "supportOrder: 1 rows have no time in 'time'; fill it, or order by column to keep such rows out of support "
        "sets",
        files=ratings("1,1,5,0", "1,2,5,"),
        changes={"supportOrder": {"by": "time", "column": "time"}},
    ),
    "time is text": Case(
        "supportOrder: 'time' is VARCHAR, expected a number or a date",
        files=ratings("1,1,5,monday", "1,2,5,tuesday"),
        changes={"supportOrder": {"by": "time", "column": "time"}},
    ),
    "unknown split": Case(
        "split: column 'time' has 'dev', expected train, valid, test, or nothing to leave the row out",
        files=ratings("1,1,5,train", "1,2,5,dev"),
        changes={"split": {"by": "column", "column": "time"}},
    ),
    "no row in train": Case(
        "split train: no task of at least 2 rows; change split, taskRows.min or the label",
        files=ratings("1,1,5,valid", "1,2,5,valid"),
        changes={"split": {"by": "column", "column": "time"}},
    ),
    "every task too short": Case(
        "split train: no task of at least 9 rows; change split, taskRows.min or the label",
        changes={"taskRows": {"min": 9}},
    ),
    "fewer tasks than splits": Case(
        "split valid: no task of at least 2 rows; change split, taskRows.min or the label",
        files=ratings("1,1,5,0", "1,2,5,0"),
        changes={"split": {"by": "task", "train": 0.8, "valid": 0.1, "test": 0.1}},
    ),
    "join key not unique": Case(
        "join items.csv: the key item is not unique: 11 occurs more than once; remove the duplicate rows or join on "
        "more columns",
        files=joined("item,year\n10,1990\n11,1991\n11,1992\n"),
        changes=JOIN,
    ),
    "join key missing on the right": Case(
        "join items.csv: no column 'item' (items.csv has movie, year)", files=joined("movie,year\n1,2\n"), changes=JOIN
    ),
    "join key missing on the left": Case(
        "join items.csv: no column 'movie' (ratings.csv has user, item, rating, time)",
        files=joined("movie,year\n1,2\n"),
        changes={"joins": [{"source": "items.csv", "using": ["movie"]}]},
    ),
    "column in two sources": Case(
        "source items.csv: column 'rating' is also in ratings.csv; rename one of them",
        files=joined("item,rating\n1,2\n"),
        changes=JOIN,
    ),
    "side table missing": Case(
        "source items.csv: no such file below {root}; check the path and the volume's folder", changes=JOIN
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bad_source(tmp_path: Path, case: Case) -> None:
    with pytest.raises(DataError) as caught:
        prepare(tmp_path, case.files, **case.changes)
    assert str(caught.value) == case.message.replace("{root}", str(tmp_path))
    assert caught.value.exit_code is ExitCode.DATA
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(case.files), "nothing half made is left"


def test_a_parquet_column_of_another_type_is_named(tmp_path: Path) -> None:
    table = pa.table({"user": [1, 1], "item": [1, 2], "rating": [5, 5], "when": pa.array([0, 1], pa.date32())})
    pq.write_table(table, tmp_path / "ratings.parquet")
    features = [{"name": "when", "type": "numeric", "columns": ["when"]}]
    with pytest.raises(DataError) as caught:
        prepare(tmp_path, {}, source="ratings.parquet", features=features)
    assert str(caught.value) == ("feature when: 'when' is DATE, expected a number; convert it or make it categorical")


def test_something_else_at_the_output_is_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "thesis.tex").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(DataError) as caught:
            prepare(tmp_path, {"ratings.csv": RATINGS}, overwrite=overwrite)
        assert str(caught.value) == (
            f"{tmp_path / 'dataset'}: exists and is not a Meta-IO dataset; choose another folder"
        )
    assert (tmp_path / "dataset" / "thesis.tex").read_text() == "precious"


def test_another_dataset_at_the_output_is_replaced_only_on_request(tmp_path: Path) -> None:
    prepare(tmp_path, {"ratings.csv": RATINGS})
    with pytest.raises(DataError) as caught:
        prepare(tmp_path, {"ratings.csv": RATINGS}, seed=1)
    assert str(caught.value) == (
        f"{tmp_path / 'dataset'}: holds the dataset of another spec or source; use --overwrite to replace it, or "
        "another folder"
    )
    card = prepare(tmp_path, {}, overwrite=True, seed=1)
    assert card.provenance.spec["seed"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "ratings.csv"]


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text(RATINGS)
    spec = validate(PrepareSpec, {**SPEC})
    out = tmp_path / "ratings.csv" / "dataset"
    with pytest.raises(DataError) as caught:
        run(spec, tmp_path, out)
    assert str(caught.value) == (
        f"{out}: cannot write the dataset: Not a directory; check the folder and its free space"
    )


def test_an_engine_that_fails_in_the_middle_of_a_stream_says_what_it_was_doing(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "work")
    rows = engine.stream("split train", "SELECT CASE WHEN range = 9 THEN error('disk full') END FROM range(10)")
    with pytest.raises(DataError, match=r"^split train: disk full$"):
        list(rows)
    engine.close()


def test_an_interrupted_query_is_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        """What DuckDB does after Ctrl-C."""

        def execute(self, sql: str) -> None:
            raise RuntimeError("Query interrupted")

    engine = Engine(tmp_path / "work")
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_connection", Interrupted())
        with pytest.raises(KeyboardInterrupt):
            engine.rows("test", "SELECT 1")
        with pytest.raises(KeyboardInterrupt):
            engine.copy("SELECT 1")
    engine.close()
