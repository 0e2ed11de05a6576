"""For the operator's benchmark: an API server without nodes, the jobs on it, and pods that run on paper only."""

import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from gmeta_api.crd import PLURAL
from gmeta_api.objects import JOB_LABEL, ROLE_LABEL
from gmeta_api.spec import API_VERSION, KIND
from gmeta_operator.watches import login

CRD = Path(__file__).parents[1] / "crds/gmeta.dev_metatrainingjobs.yaml"
NAMESPACE = "bench"
JOBS = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{PLURAL}"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
FOREIGN = "foreign"
"""A namespace whose pods are none of the operator's."""
ENOUGH = 600.0
"""Seconds after which something that should happen is taken for broken."""


@contextmanager
def api_only_cluster(script: Path) -> Iterator[list[str]]:
    """An API server with its controllers, without nodes or scheduler; the words to put before a command for it."""
    call = ["env", "GMETA_CLUSTER_NAME=bench", str(script)]
    subprocess.run([*call, "up", "--api-only"], check=True, stdout=subprocess.DEVNULL)
    try:
        yield [*call, "exec"]
    finally:
        subprocess.run([*call, "down"], check=True)


def manifest(name: str, workers: int) -> dict[str, Any]:
    """A job of a coordinator and some workers, with data and commits of its own."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "volumes": [{"name": "all", "emptyDir": {}}],
            "data": {"volume": "all", "path": f"sets/{name}"},
            "checkpoint": {"volume": "all", "path": f"runs/{name}"},
            "workers": {"replicas": workers},
        },
    }


class Server:
    """The API server that $KUBECONFIG names."""

    def __init__(self) -> None:
        self._connection = login()
        self._http = self._client()

    def _client(self) -> httpx.Client:
        connection = self._connection
        return httpx.Client(
            base_url=connection.server,
            headers=connection.as_http_headers(),
            verify=connection.as_ssl_context(),
            timeout=httpx.Timeout(30.0, read=None),
        )

    def prepare(self) -> None:
        """Install the CRD, and make the namespace with its service account."""
        subprocess.run(["kubectl", "apply", "--validate=false", "-f", str(CRD)], check=True, stdout=subprocess.DEVNULL)
        self.send("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"
        wait_until(lambda: self._http.get(account).is_success and self._http.get(JOBS).is_success, "the namespace")

    def add_foreign_pods(self, count: int) -> None:
        """Make pods of somebody else."""
        self.send("POST", "/api/v1/namespaces", {"metadata": {"name": FOREIGN}})
        account = f"/api/v1/namespaces/{FOREIGN}/serviceaccounts/default"
        wait_until(lambda: self._http.get(account).is_success, "the namespace of others")
        container = {"name": "other", "image": "other:1", "env": [{"name": "A", "value": "b" * 500}]}
        spec = {"containers": [container], "automountServiceAccountToken": False}  # which may not be made yet
        for number in range(count):
            pod = {"metadata": {"name": f"other-{number}", "labels": {"app": "other"}}, "spec": spec}
            self.send("POST", f"/api/v1/namespaces/{FOREIGN}/pods", pod)

    def remove_foreign_pods(self) -> None:
        """Delete them all. The server may give up on thousands, and goes on from there when it is asked again."""
        pods = f"/api/v1/namespaces/{FOREIGN}/pods"
        wait_until(lambda: self._http.delete(pods).is_success, "the deletion of the others' pods")

    def send(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A request that has to succeed; its answer."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = self._http.request(method, path, content=json.dumps(body), headers={"Content-Type": kind})
        if not answer.is_success:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        found: dict[str, Any] = answer.json()
        return found

    def submit(self, name: str, workers: int) -> None:
        """Create a job, as `kubectl apply` does after its own start."""
        self.send("POST", JOBS, manifest(name, workers))

    def delete(self, name: str) -> None:
        """Delete a job; its pods follow."""
        self.send("DELETE", f"{JOBS}/{name}", {})

    def running(self) -> int:
        """How many jobs are Running, by their status."""
        jobs: list[dict[str, Any]] = self._http.get(JOBS).json()["items"]
        return sum(job.get("status", {}).get("state") == "Running" for job in jobs)

    def pods(self) -> list[dict[str, Any]]:
        """All pods."""
        found: list[dict[str, Any]] = self._http.get(PODS).json()["items"]
        return found

    def watch_pods(self) -> "PodWatch":
        """Begin a watch of the pods, over a connection of its own."""
        return PodWatch(self._client())

    def run_on_paper(self) -> None:
        """Write to every pod what a kubelet would; a coordinator's address is a loopback address of its own."""
        coordinators = 0
        for pod in self.pods():
            address = "127.0.0.1"
            if pod["metadata"]["labels"][ROLE_LABEL] == "coordinator":
                coordinators += 1
                address = f"127.1.{coordinators // 250}.{coordinators % 250 + 1}"
            self._write_running(pod, address)

    def _write_running(self, pod: dict[str, Any], address: str) -> None:
        (container,) = pod["spec"]["containers"]
        state = {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        }
        status = {"phase": "Running", "podIP": address, "containerStatuses": [state]}
        self.send("PATCH", f"{PODS}/{pod['metadata']['name']}/status", {"status": status})


class PodWatch:
    """Tells when pods come and go, as any client of the API server sees it, until the process ends."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._events: queue.Queue[tuple[float, str, str] | Exception] = queue.Queue()
        version = http.get(PODS).json()["metadata"]["resourceVersion"]
        begun = threading.Event()
        threading.Thread(target=self._listen, args=(version, begun), daemon=True).start()
        begun.wait(ENOUGH)

    def wait_for(self, what: str, job: str | None, count: int) -> float:
        """Wait for so many ADDED or DELETED pods, of a job or of any; the monotonic time of the last one."""
        last, missing = 0.0, count
        while missing:
            last, kind, of_job = self._next(f"{missing} of {count} pods to be {what}")
            missing -= kind == what and job in (None, of_job)
        return last

    def _next(self, what: str) -> tuple[float, str, str]:
        try:
            event = self._events.get(timeout=ENOUGH)
        except queue.Empty:
            raise TimeoutError(f"waited {ENOUGH:.0f} s for {what}") from None
        if isinstance(event, Exception):
            raise event
        return event

    def _listen(self, version: str, begun: threading.Event) -> None:
        try:
            with self._http.stream("GET", PODS, params={"watch": "true", "resourceVersion": version}) as stream:
                begun.set()
                for line in stream.iter_lines():
                    event = json.loads(line)
                    self._events.put(
                        (time.monotonic(), event["type"], event["object"]["metadata"]["labels"][JOB_LABEL])
                    )
        except (httpx.HTTPError, KeyError) as error:
            self._events.put(error)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + ENOUGH
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {ENOUGH:.0f} s for {what}")
        time.sleep(0.05)
