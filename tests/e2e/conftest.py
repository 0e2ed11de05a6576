"""One cluster, one release of the chart and one agent for all end-to-end tests; namespaces of their own for each."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from e2e_cluster import WAYS, Cluster, environment_cluster
from e2e_jobs import Jobs
from e2e_node import NodeAgent
from e2e_release import Release
from local_job import LocalJob, call
from unavailable import unavailable

TAG = "e2e"
IMAGES = {
    f"{image}.{part}": value
    for image in ("image", "workerImage")
    for part, value in (("tag", TAG), ("pullPolicy", "Never"))
}
GANGS = {"gangSchedulers": "{volcano,coscheduling}"}


def pytest_report_header() -> str:
    found = environment_cluster()
    return f"cluster: {found.name if found else 'none'}"


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    found = environment_cluster()
    if found is None:
        unavailable(f"no cluster: set {WAYS}")
    try:
        found.up()
    except AssertionError as error:
        unavailable(f"the cluster does not run: {error}")
    return found


@pytest.fixture(scope="session")
def agent(cluster: Cluster) -> Iterator[NodeAgent]:
    """The tests' hand on the node that the jobs' volumes are on."""
    namespace = "gmeta-e2e-agent"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    made = NodeAgent(cluster, namespace, f"gmeta-operator:{TAG}")
    made.start()
    yield made
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="session")
def operator(cluster: Cluster, agent: NodeAgent) -> Iterator[Release]:
    """The operator, from the chart. In the end the chart leaves the CRD, which then goes too, and nothing else."""
    release = Release(cluster, {**IMAGES, **GANGS, r"nodeSelector.kubernetes\.io/hostname": agent.node})
    with release.installed():
        yield release
        log = release.log()
    cluster.kubectl("delete", "crd", "metatrainingjobs.gmeta.dev")
    cluster.kubectl("delete", "namespace", release.namespace, "--wait=false")
    assert "Traceback" not in log, log


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small job's volume `data`: ratings, and the dataset made of them."""
    local = LocalJob(tmp_path_factory.mktemp("small"))
    code, output = call("prepare", local.manifest, "--volume", f"data={local.folder / 'data'}")
    assert code == 0, output
    return local.folder / "data"


@pytest.fixture
def make_jobs(cluster: Cluster, agent: NodeAgent, operator: Release, small_data: Path) -> Iterator[Callable[[], Jobs]]:
    """Makes namespaces for jobs; after the test nothing of the jobs may be left in them."""
    with ExitStack() as clean_up:

        def make() -> Jobs:
            jobs = Jobs(cluster, agent, f"gmeta-e2e-{uuid.uuid4().hex[:8]}")
            jobs.open()
            clean_up.callback(jobs.clean)
            jobs.claim("data", small_data)
            jobs.claim("runs")
            return jobs

        yield make


@pytest.fixture(autouse=True)
def _operator_never_crashes(request: pytest.FixtureRequest) -> Iterator[None]:
    """However a test has ended the operator's process, it has not ended itself by an error that nobody expected."""
    yield
    if "operator" in request.fixturenames:
        release: Release = request.getfixturevalue("operator")
        for pod in release.pods():
            words = release.last_words(pod["metadata"]["name"])
            assert "Traceback" not in words, words


@pytest.fixture
def jobs(make_jobs: Callable[[], Jobs]) -> Jobs:
    """A namespace with the small job's volumes."""
    return make_jobs()
