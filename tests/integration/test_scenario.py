"""The example with scenes as tasks, trained for a few steps and scored on items that training has not seen."""

import json
from pathlib import Path

from local_job import call

from gmeta_worker.datasets import scenarios

EXAMPLE = Path(__file__).parents[2] / "examples/scenario.yaml"


def test_scenes_are_tasks(tmp_path: Path) -> None:
    scenarios.generate(tmp_path / "data/scenarios-raw", rows=6000, users=400, items=100)
    volumes = [f"--volume={name}={tmp_path / name}" for name in ("data", "runs")]
    settings = [
        "--set=spec.data.prepare.split.column=cold_items",
        "--set=spec.training={steps: 4, tasksPerStep: 8, evaluation: {everySteps: 4, shots: [16, 64]}}",
    ]
    code, output = call("run", EXAMPLE, "--workers", "1", *volumes, *settings)
    assert code == 0, output
    report = json.loads((tmp_path / "runs/scenario/report.json").read_text())
    assert [(each["split"], each["step"]) for each in report["evaluations"]] == [("valid", 4), ("test", 4)]
    for evaluation in report["evaluations"]:
        assert {(row["label"], row["tasks"]) for row in evaluation["rows"]} == {("click", 5)}
        assert all(0 < row["gauc"] < 1 for row in evaluation["rows"])
