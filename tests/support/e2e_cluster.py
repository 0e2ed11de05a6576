"""What the end-to-end tests do to a cluster."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from local_job import MANIFEST, write_ratings

CRD = Path(__file__).parents[2] / "crds/gmeta.dev_metatrainingjobs.yaml"


@dataclass
class Cluster:
    """A cluster and its control script."""

    script: Path

    def up(self) -> None:
        """Start it unless it is up, and install the CRD."""
        subprocess.run([self.script, "up"], check=True, capture_output=True, timeout=180)
        self.kubectl("apply", "--validate=false", "-f", str(CRD))

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        command = [str(self.script), "exec", "kubectl", *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def apply(self, *things: dict[str, Any]) -> None:
        self.kubectl("apply", "--validate=false", "-f", "-", text=yaml.safe_dump_all(things))

    def get(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found


@dataclass
class Operator:
    """The operator as a process under the cluster's network."""

    cluster: Cluster
    image: str
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        settings = {"GMETA_WORKER_IMAGE": self.image, "GMETA_WORKER_IMAGE_PULL_POLICY": "Never"}
        environment = {**os.environ, **settings, "OMP_NUM_THREADS": "1"}
        command = [str(self.cluster.script), "exec", sys.executable, "-m", "gmeta_operator"]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, start_new_session=True
            )

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, number)
            self.process.wait(30)


@dataclass
class Jobs:
    """A namespace with the volumes of a small job."""

    cluster: Cluster
    namespace: str
    folder: Path
    volumes: list[str] = field(default_factory=list)

    def prepare_volumes(self) -> None:
        """A namespace and two claims on folders of this machine, one of them with ratings."""
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        for parent in (self.folder, *self.folder.parents[:3]):
            parent.chmod(0o755)
        for name in ("data", "runs"):
            folder = self.folder / name
            folder.mkdir()
            self.cluster.apply(*self._claim(name, folder))
        write_ratings(self.folder / "data" / "ratings.csv")
        for name in ("data", "runs"):
            (self.folder / name).chmod(0o777)

    def _claim(self, name: str, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        volume = f"{self.namespace}-{name}"
        self.volumes.append(volume)
        shared = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
        size = {"storage": "1Gi"}
        return (
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": volume},
                "spec": {**shared, "capacity": size, "hostPath": {"path": str(folder)}},
            },
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {**shared, "resources": {"requests": size}, "volumeName": volume},
            },
        )

    def submit(self, name: str, **groups: dict[str, Any]) -> None:
        """Apply the small job with some groups of its spec merged in."""
        manifest = copy.deepcopy(MANIFEST)
        manifest["metadata"] = {"name": name, "namespace": self.namespace}
        spec = manifest["spec"]
        spec["volumes"] = [
            {"name": volume, "persistentVolumeClaim": {"claimName": volume}} for volume in ("data", "runs")
        ]
        spec["checkpoint"]["path"] = name
        spec["faultTolerance"] = {"restartBackoffSeconds": 1, "backoffLimit": 2}
        for group, changes in groups.items():
            spec[group] = {**spec.get(group, {}), **changes}
        self.cluster.apply(manifest)

    def status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.cluster.get("mtj", name, "-n", self.namespace).get("status", {})
        return status

    def pods(self, name: str) -> dict[str, dict[str, Any]]:
        found = self.cluster.get("pods", "-n", self.namespace, "-l", f"gmeta.dev/job={name}")
        return {pod["metadata"]["name"]: pod for pod in found["items"]}

    def wait(self, name: str, what: str, condition: Callable[[dict[str, Any]], bool], seconds: float = 90) -> Any:
        """Wait until the job's status meets a condition; the status."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.status(name)
            if condition(status):
                return status
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}; {json.dumps(status, indent=1)}"
            time.sleep(0.5)

    def wait_for_end(self, name: str, seconds: float = 120) -> dict[str, Any]:
        def ended(status: dict[str, Any]) -> bool:
            return status.get("state") in ("Succeeded", "Failed")

        status: dict[str, Any] = self.wait(name, "the end", ended, seconds)
        return status

    def clean(self) -> None:
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")
        self.cluster.kubectl("delete", "pv", *self.volumes, "--wait=false")


def kill_container(pod: str) -> None:
    """SIGKILL to a pod's process, as the kernel or a failing machine gives it.

    It comes from outside the container: within one, its first process ignores even SIGKILL.
    """
    mark = f"HOSTNAME={pod}".encode()
    for entry in Path("/proc").iterdir():
        try:
            found = entry.name.isdecimal() and mark in (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if found:
            os.kill(int(entry.name), signal.SIGKILL)
            return
    raise AssertionError(f"no process of {pod} on this machine")
