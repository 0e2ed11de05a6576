"""A real run in which a rank is killed: the report tells what that has cost, and accounts for all of the run's time."""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from local_job import LocalJob, kill, process_tree, wait_until

pytestmark = pytest.mark.slow

NO_COMMIT = (
    "spec.training.epochs=200",
    "spec.training.evaluation.everyEpochs=200",
    "spec.checkpoint.everySteps=100000",
)
"""Until the last step: all that was done before a rank is killed is done again."""


@pytest.fixture
def job(tmp_path: Path) -> Iterator[LocalJob]:
    job = LocalJob(tmp_path)
    yield job
    job.stop()


def wall_seconds(events: list[dict[str, Any]]) -> float:
    """From the coordinator's start to the end of the attempt, by the time of day."""
    first, last = (datetime.fromisoformat(event["time"]).timestamp() for event in (events[0], events[-1]))
    since_start: float = events[0]["at"]
    return last - first + since_start


def test_a_killed_rank_costs_the_steps_that_are_done_again_and_a_new_round(job: LocalJob) -> None:
    started = time.monotonic()
    process = job.start(settings=NO_COMMIT)
    wait_until(lambda: any(event["step"] >= 300 for event in job.events("progress")), "300 steps")
    kill(process_tree(process.pid).ranks[0][0])
    output, _ = process.communicate(timeout=240)
    elapsed = time.monotonic() - started
    assert process.returncode == 0, output
    told = [event for event in job.events("progress") if event["generation"] == 1]
    before = sum(told[-1]["seconds"].values())

    goodput = job.report["goodput"]
    events = [json.loads(line) for line in (job.run_folder / "events.jsonl").read_text().splitlines()]
    assert [event["message"]["kind"] for event in events].count("formed") == 2
    assert 0.2 * before < goodput["rework_seconds"] < 5 * before, "the same steps, at another speed"
    assert goodput["regroup_seconds"] > 0.5, "a rank has to start"
    assert goodput["startup_seconds"] > 0.5
    assert 0 < goodput["productive_seconds"] / sum(goodput.values()) < 0.95
    assert sum(goodput.values()) == pytest.approx(wall_seconds(events), rel=0.05)
    assert sum(goodput.values()) < elapsed
    assert "Goodput" in (job.run_folder / "report.html").read_text()
