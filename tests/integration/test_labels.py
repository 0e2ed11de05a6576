"""A job with two labels, of which ratings of 3 lack one, from its source to its scores."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from local_job import MANIFEST, LocalJob

from gmeta_worker.cli.main import gmeta

pytestmark = pytest.mark.slow

PREPARE = MANIFEST["spec"]["data"]["prepare"]
LABELS = [
    {"name": "click", "rule": "rating >= 4"},
    {"name": "like", "rule": "CASE WHEN rating <> 3 THEN rating = 5 END"},
]
SPEC = {
    **MANIFEST["spec"],
    "data": {**MANIFEST["spec"]["data"], "prepare": {**PREPARE, "labels": LABELS}},
    "model": {"type": "MMoE", "embeddingDim": 4, "top": [4], "experts": 2, "expertSize": 4},
    "training": {
        "epochs": 2,
        "tasksPerStep": 4,
        "labelWeights": {"like": 0.5},
        "evaluation": {"everyEpochs": 1, "shots": [4]},
    },
}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> LocalJob:
    """Trained by two workers."""
    made = LocalJob(tmp_path_factory.mktemp("labels"))
    made.manifest.write_text(yaml.safe_dump({**MANIFEST, "spec": SPEC}))
    code, output = made.run("--workers", "2")
    assert code == 0, output
    assert "valid, like AUC un-adapted → adapted" in output
    return made


def call(*arguments: str | Path) -> str:
    """What a command prints."""
    done = CliRunner().invoke(gmeta, [*map(str, arguments)], catch_exceptions=False, env={"COLUMNS": "120"})
    assert done.exit_code == 0, done.output
    return done.output


def test_every_label_has_its_scores_and_the_first_one_counts(job: LocalJob) -> None:
    last = job.events("evaluation")[-1]
    clicks, likes = ([row for row in last["rows"] if row["label"] == label] for label in ("click", "like"))
    assert [row["adapted"] for row in clicks] == [row["adapted"] for row in likes] == [False, True]
    assert last["auc"] == clicks[1]["auc"] != likes[1]["auc"]
    assert 0 < likes[0]["rows"] < clicks[0]["rows"], "ratings of 3 are scored by one label only"
    page = (job.run_folder / "report.html").read_text()
    assert "test split, like, after step" in page


def test_evaluate_says_the_same(job: LocalJob) -> None:
    output = call("evaluate", job.run_folder, "--dataset", job.folder / "data/dataset", "--shots", "4")
    for row in job.events("evaluation")[-1]["rows"]:
        title = output.index(f"test, {row['label']}: ranking")
        mode = "adapted" if row["adapted"] else "un-adapted"
        line = next(line for line in output[title:].splitlines() if f" {mode} " in line)
        assert [f"{row['auc']:.4f}", f"{row['gauc']:.4f}"] == line.split()[3:5]


def test_compare_has_lines_of_each_label(job: LocalJob, tmp_path: Path) -> None:
    output = call("compare", job.run_folder, "--out", tmp_path / "page.html")
    words = [line.split()[:3] for line in output.splitlines()]
    assert ["click", "4", "adapted"] in words
    assert ["like", "4", "adapted"] in words
