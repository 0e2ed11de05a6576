"""`gmeta plan --ranks` from the command line's side, on a dataset that is prepared here."""

import copy
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner
from local_job import MANIFEST, write_ratings

from gmeta_api.spec import PrepareSpec
from gmeta_worker.cli.plan import plan
from gmeta_worker.cli.ranks import Bandwidth, RankCounts
from gmeta_worker.metaio.prepare import run as prepare_dataset


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest beside its prepared dataset."""
    folder = tmp_path_factory.mktemp("forecast")
    manifest = copy.deepcopy(MANIFEST)
    write_ratings(folder / "ratings.csv")
    prepare = PrepareSpec.model_validate(manifest["spec"]["data"]["prepare"])
    prepare_dataset(prepare, folder, folder / manifest["spec"]["data"]["path"])
    (folder / "job.yaml").write_text(yaml.safe_dump(manifest))
    return folder


def planned(job: Path, *options: str) -> list[list[str]]:
    """The cells of the output's tables."""
    arguments = [str(job / "job.yaml"), "--volume", f"data={job}", *options]
    result = CliRunner().invoke(plan, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_the_table_has_a_column_for_each_number_of_ranks_and_adds_up(job: Path) -> None:
    rows = {name: cells for name, *cells in planned(job, "--ranks", "1,8", "--network", "100MB/s")}
    phases = ["input", "lookup", "gradients", "exchange", "update", "ids, beyond the gradients", "rows"]
    phases += ["row gradients", "dense gradients"]
    for column in (0, 1):
        total = sum(float(rows[phase][column]) for phase in phases)
        assert float(rows["step"][column]) == pytest.approx(total, abs=0.05)
    alone, eight = (float(cell) for cell in rows["dense gradients"])
    assert (alone, eight > 14 * 0.02) == (0.0, True), "a message takes 20 us, and a ring of eight ranks 14 of them"
    assert float(rows["gradients"][0]) > 0
    assert rows["of a rank alone"][0] == "100%"


def test_rows_travel_as_the_manifest_says(job: Path) -> None:
    sixteen = ("--set", "spec.parallelism.exchangePrecision=bfloat16")
    network = ("--ranks", "2", "--network", "10KB/s", "--latency", "0")
    for phase in ("rows", "row gradients"):
        whole, half = (
            float(next(cells[0] for name, *cells in planned(job, *network, *options) if name == phase))
            for options in ((), sixteen)
        )
        assert half == pytest.approx(whole / 2, abs=0.02)


def test_without_ranks_nothing_is_trained(job: Path) -> None:
    assert "gradients" not in {row[0] for row in planned(job)}


def test_the_folder_stays_as_it_was(job: Path) -> None:
    before = sorted(path for path in job.rglob("*"))
    planned(job, "--ranks", "2")
    assert sorted(path for path in job.rglob("*")) == before


@pytest.mark.parametrize(("text", "bytes_a_second"), [("25GB/s", 25e9), ("1.5MB/s", 1.5e6), ("10KB/s", 1e4)])
def test_bandwidths(text: str, bytes_a_second: float) -> None:
    assert Bandwidth().convert(text, None, None) == bytes_a_second


@pytest.mark.parametrize("text", ["25", "25Gb/s", "0GB/s", "-1GB/s", "fast"])
def test_what_is_no_bandwidth_is_told(text: str) -> None:
    with pytest.raises(click.BadParameter, match=f"such as 25GB/s, received '{text}'"):
        Bandwidth().convert(text, None, None)


@pytest.mark.parametrize("text", ["0", "8,,64", "many", "8;64", ""])
def test_what_are_no_numbers_of_ranks_is_told(text: str) -> None:
    with pytest.raises(click.BadParameter, match=f"such as 8,64,512, received '{text}'"):
        RankCounts().convert(text, None, None)
