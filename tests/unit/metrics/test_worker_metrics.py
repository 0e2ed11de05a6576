import socket
import urllib.request
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmeta_api.errors import GMetaError
from gmeta_worker.metrics import WorkerMetrics

COMMON = {"job_name": "demo", "namespace": "lab", "rank": "3"}


@dataclass(frozen=True)
class Quality:
    label: str
    shot: int
    adapted: bool
    auc: float
    gauc: float


@pytest.fixture
def metrics() -> WorkerMetrics:
    return WorkerMetrics(job_name="demo", namespace="lab", rank=3)


def value(metrics: WorkerMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, COMMON | labels)


def test_every_event_is_counted(metrics: WorkerMetrics) -> None:
    for _ in range(3):
        metrics.step(tasks=4, support=20, query=30, loss=0.5, epoch=2)
    metrics.evaluation("valid", [Quality("click", 5, True, 0.7, 0.6), Quality("click", 5, False, 0.65, 0.5)])
    metrics.commit(0.2, stall=0.02)
    metrics.commit(40.0, stall=0.03)
    assert value(metrics, "gmeta_steps_total") == 3
    assert value(metrics, "gmeta_tasks_total") == 12
    assert value(metrics, "gmeta_samples_total", set="support") == 60
    assert value(metrics, "gmeta_samples_total", set="query") == 90
    assert value(metrics, "gmeta_loss") == 0.5
    assert value(metrics, "gmeta_epoch") == 2
    assert value(metrics, "gmeta_auc", split="valid", label="click", shot="5", adapted="true") == 0.7
    assert value(metrics, "gmeta_auc", split="valid", label="click", shot="5", adapted="false") == 0.65
    assert value(metrics, "gmeta_gauc", split="valid", label="click", shot="5", adapted="false") == 0.5
    assert value(metrics, "gmeta_commits_total") == 2
    assert value(metrics, "gmeta_commit_seconds_bucket", le="30.0") == 1
    assert value(metrics, "gmeta_commit_seconds_sum") == pytest.approx(40.2)
    assert value(metrics, "gmeta_commit_stall_seconds_bucket", le="0.025") == 1
    assert value(metrics, "gmeta_commit_stall_seconds_sum") == pytest.approx(0.05)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 1000), min_size=1), min_size=1))
def test_counters_follow_running_totals_of_readers_made_anew(readers: list[list[int]]) -> None:
    metrics = WorkerMetrics(job_name="demo", namespace="lab", rank=3)
    expected = 0
    last = 0
    for growth in readers:
        total = 0
        for grown in growth:
            total += grown
            metrics.input(bytes_read=total, queue_depth=1, wait_seconds=total / 8)
            metrics.phases({"input": float(total), "lookup": 2.0 * total})
            expected += max(0, total - last)
            last = total
    assert value(metrics, "gmeta_read_bytes_total") == expected
    assert value(metrics, "gmeta_input_wait_seconds_total") == expected / 8
    assert value(metrics, "gmeta_step_seconds_total", phase="lookup") == 2 * expected


def test_two_sets_of_metrics_do_not_share_anything() -> None:
    first, second = (WorkerMetrics(job_name="demo", namespace="lab", rank=3) for _ in range(2))
    first.step(tasks=4, support=20, query=30, loss=0.5, epoch=2)
    assert value(first, "gmeta_steps_total") == 1
    assert value(second, "gmeta_steps_total") is None


def test_metrics_are_served_while_wanted(metrics: WorkerMetrics) -> None:
    port = free_port()
    metrics.step(tasks=4, support=20, query=30, loss=0.5, epoch=2)
    with metrics.serving(port), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        assert 'gmeta_steps_total{job_name="demo",namespace="lab",rank="3"} 1.0' in response.read().decode()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_port_0_serves_nothing(metrics: WorkerMetrics, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a server was started")

    monkeypatch.setattr("gmeta_worker.metrics.worker.start_http_server", fail)
    with metrics.serving(0):
        pass


def test_a_port_that_is_taken(metrics: WorkerMetrics) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(GMetaError) as error, metrics.serving(port):
            pass
    assert str(error.value) == (
        f"port {port}: the metrics cannot be served there (Address already in use); "
        "set GMETA_METRICS_PORT to a free port, or to 0 for no metrics"
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
