"""The tables of docs/metrics.md are what is served, and the names follow Prometheus's conventions."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

from gmeta_api.document import JobIdentity
from gmeta_operator.metrics import OperatorMetrics
from gmeta_worker.coordination.exposition import StatusCollector
from gmeta_worker.coordination.messages import CommitRef, MetricRow
from gmeta_worker.coordination.status import GoodputStatus, ProgressStatus, Status
from gmeta_worker.metrics import WorkerMetrics

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<type>\w+) \|(?P<labels>[^|]*)\| (?P<help>.+) \|$", re.MULTILINE)


def worker_families() -> list[Metric]:
    """The metrics of a worker to which everything has happened."""
    metrics = WorkerMetrics(job_name="demo", namespace="lab", rank=3)
    metrics.step(tasks=4, support=20, query=30, loss=0.5, epoch=2)
    metrics.phases({"input": 1.0})
    metrics.input(bytes_read=1000, queue_depth=2, wait_seconds=0.25)
    row = MetricRow(shot=5, adapted=True, auc=0.7, gauc=0.6, loss=0.5, tasks=3, rows=30)
    metrics.evaluation("valid", [row])
    metrics.commit(0.2, stall=0.01)
    return list(metrics.registry.collect())


def coordinator_families() -> list[Metric]:
    """The metrics of a job of which everything is known."""
    progress = ProgressStatus(
        epoch=1,
        epochs=3,
        step=5,
        total_steps=9,
        samples=50,
        samples_per_second=10.0,
        tasks_per_second=2.0,
        loss=0.5,
        auc=0.7,
        input_wait_share=0.1,
    )
    status = Status(
        job=JobIdentity(name="demo", namespace="lab"),
        state="running",
        attempt=0,
        generation=1,
        progress=progress,
        commit=CommitRef(attempt=0, generation=1, step=5, path="a0/s5"),
        commits=1,
        last_evaluation=None,
        evaluations=0,
        export=None,
        workers=(),
        waiting=(),
        world_size=3,
        reason="",
        restarts={"failed": 1},
        warnings=(),
        goodput=GoodputStatus(productive_seconds=8.0, commit_seconds=0.5),
        finished=None,
    )
    return list(StatusCollector(status).collect())


def operator_families() -> list[Metric]:
    """The metrics of an operator to which everything has happened, without those of its process."""
    metrics = OperatorMetrics()
    export = {"volume": "runs", "path": "exports/a", "created": "2026-01-02T12:00:00Z"}
    goodput = {"phase": "ended", "productiveSeconds": 9.0, "lostSeconds": {"commit": 1.0}}
    status = {"state": "Succeeded", "export": export, "goodput": goodput}
    job = {"metadata": {"name": "demo", "namespace": "lab"}, "status": status}
    metrics.show_leadership(lambda: True)
    metrics.show_jobs(lambda: (job,))
    metrics.show_queue(waiting=lambda: 0, retrying=lambda: 0)
    with pytest.raises(ValueError, match="bug"), metrics.reconciling(waited=0.1):
        raise ValueError("bug")
    metrics.pods_created(0.1)
    metrics.requested("create", "pods", 201)
    metrics.polled(answered=True)
    metrics.heard("pods")
    metrics.status_written({}, {"completionTime": "now", "state": "Succeeded", "reason": "Completed"})
    return list(metrics.registry.collect())


def table(families: Iterable[Metric], common: set[str]) -> dict[str, tuple[str, frozenset[str], str]]:
    rows = {}
    for family in families:
        assert family.samples, f"{family.name} was not touched"
        labels = {label for sample in family.samples for label in sample.labels}
        assert common <= labels, f"{family.name} lacks a common label"
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows[name] = (family.type, frozenset(labels - common - {"le"}), family.documentation)
    return rows


@pytest.mark.parametrize(
    ("heading", "families", "common"),
    [
        ("## Worker", worker_families(), {"job_name", "namespace", "rank"}),
        ("## Coordinator", coordinator_families(), {"job_name", "namespace"}),
        ("## Operator", operator_families(), set()),
    ],
    ids=["worker", "coordinator", "operator"],
)
def test_the_table_is_what_is_served(heading: str, families: list[Metric], common: set[str]) -> None:
    section = DOCS.read_text().split(f"{heading}\n")[1].split("\n## ")[0]
    documented = {
        row["name"]: (row["type"], frozenset(re.findall(r"`(\w+)`", row["labels"])), row["help"])
        for row in ROW.finditer(section)
    }
    assert documented == table(families, common)
    assert list(documented) == sorted(documented)


@pytest.mark.parametrize(
    "family", [*worker_families(), *coordinator_families(), *operator_families()], ids=lambda family: family.name
)
def test_names_follow_the_conventions(family: Metric) -> None:
    """What `promtool check metrics` looks at."""
    assert re.fullmatch(r"gmeta_[a-z]+(_[a-z]+)*", family.name)
    assert family.type in {"counter", "gauge", "histogram"}
    assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_info", family.type))
    assert not re.search(r"_(milliseconds|ms|minutes|hours|kilobytes|mb|percent)(_|$)", family.name), "base units only"
    assert family.documentation.endswith(".")
