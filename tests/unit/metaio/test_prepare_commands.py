"""`gmeta prepare` and `gmeta inspect`, as a user calls them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.unit.metaio.prepared import RATINGS

from gmeta_api.errors import DataError, ManifestError
from gmeta_worker.cli.inspect import inspect
from gmeta_worker.cli.prepare import prepare
from gmeta_worker.metaio import Dataset
from gmeta_worker.metaio.prepare.flags import Flags, common_folder, spec_from_flags

MANIFEST: dict[str, Any] = {
    "apiVersion": "gmeta.dev/v1alpha1",
    "kind": "MetaTrainingJob",
    "metadata": {"name": "small"},
    "spec": {
        "volumes": [{"name": "data", "emptyDir": {}}],
        "data": {
            "volume": "data",
            "path": "small",
            "prepare": {
                "source": "raw/ratings.csv",
                "task": ["user"],
                "labels": [{"name": "label", "rule": "rating >= 4"}],
                "features": [
                    {"name": "movie", "type": "categorical", "columns": ["item"]},
                    {"name": "genres", "type": "multi", "columns": ["genres"], "separator": "|"},
                    {"name": "time", "type": "numeric", "columns": ["time"], "transform": "standardize"},
                ],
                "joins": [{"source": "raw/items.csv", "using": ["item"]}],
                "supportOrder": {"by": "time", "column": "time"},
                "split": {"by": "task", "train": 0.4, "valid": 0.3, "test": 0.3},
                "seed": 3,
            },
        },
        "model": {"type": "DLRM"},
        "checkpoint": {"volume": "data", "path": "run"},
    },
}


def flags_of(folder: Path) -> list[str]:
    raw = folder / "raw"
    options = {
        "--source": f"{raw}/ratings.csv",
        "--join": f"{raw}/items.csv:item",
        "--task": "user",
        "--label": "rating >= 4",
        "--categorical": "movie=item",
        "--multi": "genres:|",
        "--numeric": "time:standardize",
        "--order": "time:time",
        "--split": "task:0.4,0.3,0.3",
        "--seed": "3",
        "--out": str(folder / "by-flags"),
    }
    return [text for option in options.items() for text in option]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/ratings.csv").write_text(RATINGS)
    (tmp_path / "raw/items.csv").write_text("item,genres\n" + "".join(f"{item},a|b\n" for item in range(10, 34)))
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(MANIFEST))
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner(catch_exceptions=False).invoke(prepare, arguments)


def by_manifest(folder: Path, *more: str) -> Result:
    return call(str(folder / "job.yaml"), "--volume", f"data={folder}", *more)


def test_manifest_and_flags_make_the_same_dataset(folder: Path) -> None:
    result = by_manifest(folder)
    assert result.exit_code == 0
    assert "write train: 4 rows\n" in result.output
    assert result.output.endswith("train 4 rows in 1 tasks, valid 4 rows in 1 tasks, test 4 rows in 1 tasks\n")
    assert call(*flags_of(folder)).exit_code == 0
    one, other = Dataset.open(folder / "small").card, Dataset.open(folder / "by-flags").card
    assert (one.schema, one.splits, one.vocabularies, one.numeric) == (
        other.schema,
        other.splits,
        other.vocabularies,
        other.numeric,
    )
    assert one.provenance.sources == ("raw/ratings.csv", "raw/items.csv")
    assert other.provenance.sources == ("ratings.csv", "items.csv")


def test_a_second_call_says_that_nothing_is_to_do(folder: Path) -> None:
    by_manifest(folder)
    assert by_manifest(folder).output.startswith(f"{folder / 'small'} is up to date\n")


def test_rows_left_out_are_told(folder: Path) -> None:
    result = by_manifest(folder, "--set", "spec.data.prepare.labels[0].rule=nullif(rating, 1) >= 4")
    assert "; rows left out: 2 (label is null)\n" in result.output


def test_a_manifest_without_prepare(folder: Path) -> None:
    manifest = json.loads(json.dumps(MANIFEST))
    del manifest["spec"]["data"]["prepare"]
    (folder / "job.yaml").write_text(yaml.safe_dump(manifest))
    with pytest.raises(ManifestError) as caught:
        by_manifest(folder)
    assert str(caught.value) == "spec.data.prepare: required to prepare a dataset; add it to the manifest"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Error: give a MANIFEST, or --source and the options after it\n"),
        (["job.yaml", "--source", "x.csv"], "Error: give a MANIFEST, or --source and the options after it\n"),
        (["--source", "x.csv"], "Error: --source needs --out, the folder of the dataset\n"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert result.output.endswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--split": "task:0.5,0.2,0.2"}, "split: the fractions train, valid and test must add up to 1"),
        ({"--split": "user:0.5"}, "split.by: expected one of 'task', 'column', received 'user'"),
        ({"--order": "time"}, "supportOrder.column: ordering by time or by column needs a column"),
    ],
)
def test_wrong_flags_are_told_like_wrong_manifests(folder: Path, changes: dict[str, str], message: str) -> None:
    arguments = flags_of(folder)
    for option, value in changes.items():
        arguments[arguments.index(option) + 1] = value
    with pytest.raises(ManifestError) as caught:
        call(*arguments)
    assert message in str(caught.value)


def test_flags_name_features_as_they_say() -> None:
    spec, _ = spec_from_flags(
        Flags(
            source="/data/day=*/part.csv",
            joins=["/data/side.tsv:a,b"],
            task=["user", "day"],
            labels=["clicked", "bought = 1"],
            categorical=["item", "decade=year // 10"],
            multi=["tags: ", "seen=m1,m2"],
            numeric=["age", "log_size=size:log1p"],
            order="column:rank",
            split="column:part",
            min_task_rows=3,
            max_task_rows=9,
            chunk_rows=11,
            seed=5,
            form="csv",
            delimiter=";",
        )
    )
    assert (spec.source, spec.joins[0].source, spec.joins[0].on) == ("day=*/part.csv", "side.tsv", ("a", "b"))
    assert [(label.name, label.rule) for label in spec.labels] == [("label", "clicked"), ("label_2", "bought = 1")]
    assert [(each.name, each.type, each.columns, each.separator, each.transform) for each in spec.features] == [
        ("item", "categorical", ("item",), None, "none"),
        ("decade", "categorical", ("year // 10",), None, "none"),
        ("tags", "multi", ("tags",), " ", "none"),
        ("seen", "multi", ("m1", "m2"), None, "none"),
        ("age", "numeric", ("age",), None, "none"),
        ("log_size", "numeric", ("size",), None, "log1p"),
    ]
    assert (spec.support_order.by, spec.support_order.column) == ("column", "rank")
    assert (spec.split.by, spec.split.column) == ("column", "part")
    assert (spec.task_rows.min, spec.task_rows.max, spec.chunk_rows, spec.seed) == (3, 9, 11, 5)
    assert (spec.format, spec.delimiter) == ("csv", ";")


def test_the_common_folder_has_no_glob() -> None:
    assert common_folder(["/a/b/c.csv", "/a/d/e.csv"]) == Path("/a")
    assert common_folder(["/a/b/*.csv"]) == Path("/a/b")
    assert common_folder(["/a/b*/x/c.csv"]) == Path("/a")


def test_inspect_shows_the_card(folder: Path) -> None:
    by_manifest(folder)
    result = CliRunner(catch_exceptions=False).invoke(inspect, [str(folder / "small"), "--verify"])
    assert result.exit_code == 0
    for text in ("movie", "multi", "standardize: mean 98.5", "rows with label = 1", "tasks with one class only"):
        assert text in result.output
    assert result.output.endswith("every file is whole\n")


def test_inspect_prints_json(folder: Path) -> None:
    by_manifest(folder)
    result = CliRunner(catch_exceptions=False).invoke(inspect, [str(folder / "small"), "--json", "--verify"])
    card = json.loads(result.output)
    assert card["splits"]["train"]["rows"] == 4
    assert card["provenance"]["spec"]["joins"] == [{"source": "raw/items.csv", "using": ["item"]}]


def test_inspect_names_damaged_files(folder: Path) -> None:
    by_manifest(folder)
    (folder / "small/train/tasks.arrow").write_bytes(b"")
    (folder / "small/vocabulary/movie.arrow").unlink()
    with pytest.raises(DataError) as caught:
        CliRunner(catch_exceptions=False).invoke(inspect, [str(folder / "small"), "--verify"])
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "vocabulary movie (vocabulary/movie.arrow)",
        "split train, task index (train/tasks.arrow)",
    ]
