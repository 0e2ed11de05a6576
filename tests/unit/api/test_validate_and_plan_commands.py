"""`gmeta validate` and `gmeta plan` from the command line's side."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from gmeta_api.errors import DataError, ManifestError
from gmeta_api.load import validate as validate_group
from gmeta_api.memory import size
from gmeta_api.spec import PrepareSpec
from gmeta_worker.cli.cost import unique_keys
from gmeta_worker.cli.plan import plan
from gmeta_worker.cli.validate import validate
from gmeta_worker.metaio import Feature, Ragged, Schema, StepBatch
from gmeta_worker.metaio.prepare import run as prepare_dataset


@pytest.fixture
def path(tmp_path: Path, manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return path


def test_a_valid_manifest_gives_one_line(path: Path) -> None:
    result = CliRunner().invoke(validate, [str(path)], catch_exceptions=False)
    assert result.output == "OK  default/quickstart: DLRM with MAML, 10 epochs, 32 tasks a step, 1 rank\n"
    assert result.exit_code == 0


def test_settings_and_ignored_fields_are_shown(path: Path) -> None:
    settings = [
        "--set",
        "spec.training.steps=7",
        "--set",
        "spec.workers.replicas=2",
        "--set",
        "spec.scheduling={gang: {scheduler: volcano}, queue: a}",
    ]
    result = CliRunner().invoke(validate, [str(path), *settings], catch_exceptions=False)
    assert result.output == (
        "OK  default/quickstart: DLRM with MAML, 7 steps, 32 tasks a step, 2 ranks\n"
        "    outside of a cluster these are ignored: spec.scheduling\n"
    )


def test_a_bad_manifest_raises_what_the_command_prints(path: Path) -> None:
    with pytest.raises(ManifestError, match=r"^spec\.meta\.iner: unknown field; did you mean 'inner'\?$"):
        CliRunner().invoke(validate, [str(path), "--set", "spec.meta.iner=2"], catch_exceptions=False)


def test_the_plan_shows_processes_and_what_makes_the_dataset(path: Path) -> None:
    result = CliRunner().invoke(plan, [str(path), "--volume", "data=sets"], catch_exceptions=False)
    lines = result.output.splitlines()
    here = path.parent.resolve()
    assert lines[0] == "prepare 0: python -m gmeta_worker prepare"
    assert "coordinator 0: python -m gmeta_worker coordinator" in lines
    assert "worker 0: python -m gmeta_worker worker" in lines
    assert f'    GMETA_VOLUMES={{"data": "{here}/sets", "runs": "{here}/volumes/runs"}}' in lines
    assert lines[-2] == "world size 1: 1 worker of 1 process"
    assert lines[-1] == (
        f"no dataset at {here}/sets/ml-100k, so memory and bytes a step are not known yet; "
        f"`gmeta prepare {path} --volume data={here}/sets` makes it"
    )
    assert sorted(file.name for file in here.iterdir()) == ["job.yaml"]


def test_without_prepare_the_plan_says_what_else_to_do(path: Path, manifest: dict[str, Any]) -> None:
    del manifest["spec"]["data"]["prepare"]
    path.write_text(yaml.safe_dump(manifest))
    result = CliRunner().invoke(plan, [str(path)], catch_exceptions=False)
    assert result.output.endswith("copy it there, or add spec.data.prepare to the manifest\n")


def test_the_plan_shows_the_cost_of_a_dataset_that_is_there(path: Path, manifest: dict[str, Any]) -> None:
    volume = path.parent / "volumes/data"
    volume.mkdir(parents=True)
    rows = [f"{user},{10 * user + item},a|b,{20 + user},{item % 5 + 1}" for user in range(20) for item in range(10)]
    (volume / "ratings.csv").write_text("\n".join(["user_id,movie_id,genres,age,rating", *rows]) + "\n")
    prepare_dataset(validate_group(PrepareSpec, manifest["spec"]["data"]["prepare"]), volume, volume / "ml-100k")
    settings = ["--set", "spec.training.epochs=1", "--set", "spec.training.tasksPerStep=4"]
    result = CliRunner().invoke(plan, [str(path), *settings], catch_exceptions=False)
    table = cells(result.output)
    # 16 training tasks of 10 rows and 10 movies each; two features and a numeric: 3 pairs + 16 inputs to the top MLP
    dense = (64 + 64) + (64 * 16 + 16) + (16 * 16 + 16) + (19 * 64 + 64) + (64 * 32 + 32) + (32 + 1)
    assert table["train split"][0].startswith("160 rows, 16 tasks, ")
    assert table["steps an epoch"] == ["4"]
    assert table["embedding rows"] == ["164", "164 (movie 161, genres 3)"]
    assert table["embedding memory"] == [size(164 * 17 * 4)] * 2
    assert table["dense parameters"] == [f"{dense:,}", "the same"]
    assert table["unique rows, first step"] == ["42", "42"]
    step = 42 * (8 + 2 * 4 * 16)
    assert table["lookup and update, a step"] == [size(step)] * 2
    assert table["memory with a step's rows"] == [size(164 * 17 * 4 + 16 * dense + step)] * 2
    assert table["of it AlltoAll"] == ["0 bytes"] * 2
    assert table["MAML"][:2] == ["top.2", "low rank"]  # a task has one query row or two

    two = CliRunner().invoke(plan, [str(path), *settings, "--set", "spec.workers.replicas=2"], catch_exceptions=False)
    table = cells(two.output)
    assert table["embedding rows"] == ["82", "164 (movie 161, genres 3)"]
    # Two of the four tasks each: their own 10 movies and the two genres that all share.
    assert table["unique rows, first step"] == ["22", "44"]
    step = 22 * (8 + 2 * 4 * 16)
    assert table["lookup and update, a step"] == [size(step), size(2 * step)]
    assert table["of it AlltoAll"] == [size(step / 2), size(step)]
    assert table["AllReduce, a step"] == [size(4 * dense), size(8 * dense)]


def cells(output: str) -> dict[str, list[str]]:
    """First cell of each line -> the others."""
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if "│" in line]
    return {name: others for name, *others in lines}


def test_a_damaged_dataset_is_an_error(path: Path) -> None:
    dataset = path.parent / "volumes/data/ml-100k"
    dataset.mkdir(parents=True)
    (dataset / "card.json").write_text("{}")
    with pytest.raises(DataError, match=re.escape(str(dataset))):
        CliRunner().invoke(plan, [str(path)], catch_exceptions=False)


def test_unique_keys_are_counted_once_for_a_shared_vocabulary() -> None:
    schema = Schema(
        categorical=(Feature("movie", "movie"), Feature("user", "user")),
        multi=(Feature("history", "movie"),),
        numeric=(),
        labels=("click",),
    )
    batch = StepBatch(
        epoch=0,
        step=0,
        positions=(0, 1),
        task_keys=np.array([7]),
        offsets=np.array([0, 2]),
        support=np.array([1]),
        keys=np.array([[1, 1], [2, 1]]),
        multi=(Ragged(np.array([0, 2, 3]), np.array([2, 3, 3])),),
        numeric=np.zeros((2, 0), np.float32),
        labels=np.zeros((2, 1), np.float32),
        row_ids=range(2),
    )
    assert unique_keys(schema, batch) == 3 + 1


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB"), (5 << 40, "5.0 TiB")],
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert size(count) == text
