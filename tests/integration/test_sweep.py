"""`gmeta sweep` in real processes: killed in the middle of a trial and started again, it comes to the same end."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from local_job import LocalJob, alive, call, children, environment, gmeta, wait_until

SECONDS = 200
"""Enough for two trials on a busy machine; an idle one takes 20."""
SWEEP: dict[str, Any] = {
    "job": "job.yaml",
    "trials": 2,
    "fixed": {"spec.training.epochs": 1},
    "space": [
        {"path": "spec.meta.inner.rate", "type": "float", "low": 0.01, "high": 1, "log": True},
        {"path": "spec.model.top", "type": "categorical", "choices": [[8], [4, 4]]},
    ],
}


@pytest.fixture
def job(tmp_path: Path) -> LocalJob:
    return LocalJob(tmp_path)


@pytest.fixture
def started() -> Iterator[list["subprocess.Popen[str]"]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def command(job: LocalJob, *arguments: str, **changes: Any) -> list[str]:
    (job.folder / "sweep.yaml").write_text(yaml.safe_dump(SWEEP | changes))
    out, data = job.folder / "out", job.folder / "data"
    return ["sweep", str(job.folder / "sweep.yaml"), "--volume", f"data={data}", "--out", str(out), *arguments]


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_never_reads_test_tasks(
    job: LocalJob, started: "list[subprocess.Popen[str]]"
) -> None:
    out = job.folder / "out"
    process = subprocess.Popen([*gmeta(), *command(job)], env=environment(), stdout=subprocess.DEVNULL, text=True)
    started.append(process)
    events = out / "trials/0001/events.jsonl"
    wait_until(lambda: len(children(process.pid)) == 2 and events.exists(), "the 2nd trial", SECONDS)
    of_trial = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(map(alive, of_trial)), "the end of the trial's processes")

    code, output = call(*command(job), seconds=SECONDS)
    assert code == 0, output
    result = json.loads((out / "sweep.json").read_text())
    states = [(trial["number"], trial["state"], trial["retried"], trial["retry_of"]) for trial in result["trials"]]
    assert states == [
        (0, "complete", False, None),
        (1, "failed", True, None),
        (2, "complete", False, 1),
    ]
    assert result["trials"][1]["params"] == result["trials"][2]["params"]
    assert "2/2  trial 2  auc " in output

    reports = {path.parent.name: json.loads(path.read_text()) for path in out.glob("trials/*/report.json")}
    assert {row["split"] for report in reports.values() for row in report["evaluations"]} == {"valid"}
    best = max((trial for trial in result["trials"] if trial["value"]), key=lambda trial: trial["value"])
    assert result["best"] == best["number"]
    last = reports[f"{best['number']:04}"]["evaluations"][-1]["rows"]
    assert best["value"] == pytest.approx(sum(row["auc"] for row in last if row["adapted"]) / 2)
    assert [path.parent.name for path in out.glob("trials/*/a0")] == [f"{best['number']:04}"]
    assert (out / "sweep.html").stat().st_size > 10_000

    code, output = call("validate", out / "best.yaml")
    assert code == 0, output
    settings = yaml.safe_load((out / "best.yaml").read_text())["spec"]
    assert settings["meta"]["inner"]["rate"] == best["params"]["spec.meta.inner.rate"]
    assert settings["model"]["top"] == best["params"]["spec.model.top"]


def test_a_trial_that_fails_is_recorded_with_its_message(job: LocalJob) -> None:
    code, output = call(
        *command(job, "--trials", "1", fixed={"spec.model.type": "nowhere.models:Net"}), seconds=SECONDS
    )
    assert code == 66, output
    message = "spec.model.type: no module named 'nowhere'"
    assert f"1/1  trial 0  failed: {message}" in output
    [trial] = json.loads((job.folder / "out/sweep.json").read_text())["trials"]
    assert trial["state"] == "failed"
    assert trial["message"].startswith(message)
    assert (job.folder / "out/trials/0000/logs/worker-0.log").exists()
    assert "Traceback" not in output
