"""A wide click log with 27 columns trains and reports from a manifest alone."""

import json
import subprocess
from pathlib import Path

import pytest
from local_job import call, environment, gmeta

EXAMPLE = Path(__file__).parents[2] / "examples/sparrow-movies.yaml"


@pytest.mark.slow
def test_the_sparrow_example_prepares_trains_and_reports(real_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "data/raw/testSamples.csv.gz"
    source.parent.mkdir(parents=True)
    source.write_bytes((real_data / "sparrow-ml20m-ctr/testSamples.csv.gz").read_bytes())
    volumes = [f"--volume={name}={tmp_path / name}" for name in ("data", "runs")]
    command = [*gmeta(), "run", str(EXAMPLE), *volumes, "--set", "spec.training.epochs=2"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr

    code, card = call("inspect", tmp_path / "data/sparrow-movies")
    assert code == 0
    assert "history" in card
    report = json.loads((tmp_path / "runs/sparrow-movies/report.json").read_text())
    final = report["evaluations"][-1]
    assert final["split"] == "test"
    assert len(final["rows"]) == 6
    assert all(row["auc"] > 0.6 for row in final["rows"])
