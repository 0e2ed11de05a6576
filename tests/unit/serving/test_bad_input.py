"""What is wrong with a file of rows, an export or a run is said in one line, and nothing is left half-written."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from exported import Trained, train, write_rows

from gmeta_api.errors import GMetaError
from gmeta_api.exit_codes import ExitCode
from gmeta_worker.cli.main import gmeta
from gmeta_worker.serving import write_export

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    made = train(tmp_path_factory.mktemp("trained"), meta={"adapt": {"dense": ["bias"]}})
    write_export(made.run, made.dataset, made.folder / "export")
    return made


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(gmeta, [str(each) for each in arguments])


def failure(result: Result) -> GMetaError:
    assert isinstance(result.exception, GMetaError), (result.output, result.exception)
    return result.exception


@dataclass(frozen=True)
class Case:
    """What is changed in the support rows, and what is said of it."""

    message: str
    change: dict[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()


CASES = {
    "text for a number": Case("feature age: expected a number in 'age', found 'old' in row 2; correct", {"age": "old"}),
    "log1p": Case("feature income: log1p needs values above -1, found -3 in row 2; use transform", {"income": "-3"}),
    "no task": Case("row 2: task is null; fill it or remove the row", {"user": ""}),
    "no label": Case("row 2: label is null; fill it or remove the row", {"rating": ""}),
    "no such column": Case("feature city: no column 'city' (support.csv has user, place, movie", drop=("city",)),
    "no label column": Case("label click: no column 'rating >= 4' (support.csv has user, place", drop=("rating",)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bad_support_rows_are_named(trained: Trained, tmp_path: Path, case: Case) -> None:
    rows: Rows = [dict(row) for row in next(trained.tasks())[0]]
    rows[1] |= case.change
    rows = [{name: value for name, value in row.items() if name not in case.drop} for row in rows]
    support = write_rows(tmp_path / "support.csv", rows)
    result = invoke(
        "adapt", trained.folder / "export", "--support", support, "--query", support, "--out", tmp_path / "o"
    )
    error = failure(result)
    assert str(error).startswith(f"{support}: {case.message}")
    assert error.exit_code is ExitCode.DATA
    assert not (tmp_path / "o").exists()


def test_a_label_under_its_own_name_is_taken(trained: Trained, tmp_path: Path) -> None:
    rows = [{**row, "click": str(int(int(row["rating"]) >= 4)), "rating": "0"} for row in next(trained.tasks())[0]]
    plain = write_rows(tmp_path / "plain.csv", next(trained.tasks())[0])
    named = write_rows(tmp_path / "named.csv", rows)
    for support in (plain, named):
        out = tmp_path / f"{support.stem}.parquet"
        done = invoke("adapt", trained.folder / "export", "--support", support, "--query", plain, "--out", out)
        assert done.exit_code == 0, done.output
    assert (tmp_path / "plain.parquet").read_bytes() == (tmp_path / "named.parquet").read_bytes()


@pytest.mark.parametrize("arguments", [(), ("--query", "q.csv", "--meta-embeddings")])
def test_scores_or_embeddings_one_of_the_two(tmp_path: Path, arguments: Sequence[str]) -> None:
    result = invoke("adapt", tmp_path, "--support", "s.csv", "--out", "o", *arguments)
    assert result.exit_code == ExitCode.USAGE
    assert "give --query FILE or --meta-embeddings, one of the two" in result.output


def _shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _alter(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


DAMAGE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "no manifest": ("export.json", Path.unlink, "holds no export.json, so it is no export"),
    "manifest cut short": ("export.json", _shorten, "Invalid JSON"),
    "a file is missing": ("rows/movie.parquet", Path.unlink, "rows/movie.parquet: is missing"),
    "rows cut short": ("rows/movie.parquet", _shorten, "export.json says"),
    "weights altered": ("dense.safetensors", _alter, "has checksum"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_export_is_named(trained: Trained, tmp_path: Path, damage: tuple[str, Any, str]) -> None:
    name, spoil, message = damage
    shutil.copytree(trained.folder / "export", tmp_path / "export")
    spoil(tmp_path / "export" / name)
    error = failure(invoke("adapt", tmp_path / "export", "--support", "s.csv", "--query", "q.csv", "--out", "o"))
    assert message in str(error)
    assert error.exit_code is ExitCode.CHECKPOINT


def test_another_folder_is_never_replaced(trained: Trained, tmp_path: Path) -> None:
    command = ("export", trained.run, "--dataset", trained.folder / "dataset", "--out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("mine")
    assert str(failure(invoke(*command, tmp_path / "other", "--overwrite"))).endswith(
        "other: exists and is no export; choose another folder"
    )
    assert "holds an export already; use --overwrite" in str(failure(invoke(*command, trained.folder / "export")))
    before = json.loads((trained.folder / "export/export.json").read_text())
    done = invoke(*command, trained.folder / "export", "--overwrite")
    assert done.exit_code == 0, done.output
    after = json.loads((trained.folder / "export/export.json").read_text())
    assert after["created_seconds"] >= before["created_seconds"]
    assert not list(trained.folder.glob("export.*"))
