"""A real Prometheus scrapes operator and job by the chart's PodMonitors, and every query of the dashboard has data."""

from pathlib import Path

import pytest
from charts import Helm, of_kind
from e2e_cluster import Cluster, wait_for
from e2e_jobs import EXPORTED, Jobs
from e2e_release import HELM, Release
from pod_monitor import scrape_configs, write_targets
from prometheus import QUERIES, Prometheus
from unavailable import unavailable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MONITORS = {"podMonitor": {"jobs": {"enabled": True}, "operator": {"enabled": True}, "interval": "1s"}}


@pytest.fixture
def targets(cluster: Cluster, operator: Release, tmp_path: Path) -> Path:
    """The file that tells Prometheus of every pod of the cluster."""
    if cluster.script is None:
        unavailable("a Prometheus beside the cluster reaches its pods only in the network of GMETA_TEST_CLUSTER")
    path = tmp_path / "targets.json"
    write_targets(path, cluster.get("pods", "--all-namespaces")["items"])
    return path


def test_every_query_of_the_dashboard_has_data(
    cluster: Cluster, operator: Release, jobs: Jobs, targets: Path, tmp_path: Path
) -> None:
    objects = Helm(HELM, tmp_path, operator.name, operator.namespace).objects(MONITORS)
    configs = [config for monitor in of_kind(objects, "PodMonitor") for config in scrape_configs(monitor, targets)]
    with Prometheus(tmp_path, configs, cluster.command) as prometheus:
        wait_for("a scrape of the operator", lambda: prometheus.ask("gmeta_operator_queue_depth") != [])
        jobs.submit("seen", training={"epochs": 2000})
        jobs.wait_for_commit("seen")
        jobs.submit("exported", training=EXPORTED)
        jobs.wait_for_end("exported")
        write_targets(targets, cluster.get("pods", "--all-namespaces")["items"])
        prometheus.wait_for_data(QUERIES, "seen", jobs.namespace)
        found = [(labels["pod"], labels["namespace"]) for labels, value in prometheus.ask("up") if value == 1]
        honoured = prometheus.ask('count({__name__=~"gmeta_.*", exported_namespace!=""})') == []
        running = prometheus.ask('gmeta_operator_jobs{state="Running"}')
    assert sorted(found) == sorted(
        [
            (operator.pod()["metadata"]["name"], operator.namespace),
            ("seen-coordinator-0", jobs.namespace),
            ("seen-w0-0", jobs.namespace),
        ]
    )
    assert honoured, "the namespace that a job's metrics carry is kept"
    assert [value for _, value in running] == [1]
