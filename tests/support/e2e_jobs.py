"""Jobs in a namespace of their own, with volumes on the node of the tests' agent."""

import copy
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e_cluster import GONE_SECONDS, Cluster, wait_for
from e2e_node import NODE_FOLDER, NodeAgent
from local_job import MANIFEST

CHILDREN = ("pods,services,configmaps,networkpolicies", "-l", "gmeta.dev/job")
ENDED = ("Succeeded", "Failed")
LONG = {"epochs": 200}
"""Training that leaves time to disturb it."""
EXPORT = {"name": "export", "export": {"volume": "runs", "path": "exports/movies"}}
EXPORTED = {"epochs": None, "phases": [{"name": "train", "algorithm": "MAML", "epochs": 2}, EXPORT]}
"""Training with an export at its end."""

Status = dict[str, Any]


@dataclass
class Jobs:
    """A namespace with claims and the jobs that use them.

    Attributes:
        cluster: where it is.
        agent: puts data on the claims.
        namespace: its name.
        claims: names of the claims that were made.
    """

    cluster: Cluster
    agent: NodeAgent
    namespace: str
    claims: list[str] = field(default_factory=list)

    def open(self) -> None:
        """Make the namespace."""
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})

    def claim(self, name: str, content: Path | None = None, place: str = ".", *, everywhere: bool = False) -> None:
        """A claim on a static volume of the agent's node, with a copy of a folder in a place of it.

        With `everywhere` pods on all nodes may use it, which takes a cluster whose nodes share that folder.
        """
        folder = f"{self.namespace}/{name}"
        self.agent.shell(f"mkdir -p {folder} && chmod 777 {folder}")
        if content is not None:
            self.agent.put(content, f"{folder}/{place}")
        node = None if everywhere else self.agent.node
        self.cluster.apply(*claim(self.namespace, name, f"{NODE_FOLDER}/{folder}", node))
        self.claims.append(name)
        self.kubectl("wait", f"pvc/{name}", "--for=jsonpath={.status.phase}=Bound", "--timeout=50s")

    def submit(self, name: str, volumes: Mapping[str, str] | None = None, **groups: Mapping[str, Any]) -> None:
        """Apply the small job, on its prepared dataset.

        Args:
            name: of the job.
            volumes: claims of volumes, by the volume's name, that are others than `data` and `runs`.
            groups: what is merged into groups of its spec; None removes a field.
        """
        manifest = copy.deepcopy(MANIFEST)
        spec = manifest["spec"]
        del spec["data"]["prepare"]
        claims = {"data": "data", "runs": "runs"} | dict(volumes or {})
        spec["volumes"] = [{"name": each, "persistentVolumeClaim": {"claimName": of}} for each, of in claims.items()]
        spec["checkpoint"]["path"] = name
        spec["faultTolerance"] = {"restartBackoffSeconds": 1, "backoffLimit": 2}
        for group, changes in groups.items():
            merged = {**spec.get(group, {}), **changes}
            spec[group] = {field: value for field, value in merged.items() if value is not None}
        self.apply({**manifest, "metadata": {"name": name}})

    def apply(self, manifest: dict[str, Any]) -> None:
        """Apply a manifest in this namespace."""
        self.cluster.apply({**manifest, "metadata": {**manifest["metadata"], "namespace": self.namespace}})

    def delete(self, name: str) -> None:
        """Delete a job and wait until all that belonged to it has gone."""
        self.kubectl("delete", "mtj", name, "--timeout=20s")
        wait_for(f"the end of what belonged to {name}", lambda: not self.children(name), GONE_SECONDS)

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in this namespace."""
        return self.cluster.kubectl("-n", self.namespace, *arguments)

    def status(self, name: str) -> Status:
        """The status of a job."""
        status: Status = self.cluster.get("mtj", name, "-n", self.namespace).get("status", {})
        return status

    def pods(self, name: str) -> dict[str, dict[str, Any]]:
        """The pods of a job, by name."""
        found = self.cluster.get("pods", "-n", self.namespace, "-l", f"gmeta.dev/job={name}")
        return {pod["metadata"]["name"]: pod for pod in found["items"]}

    def children(self, name: str | None = None) -> list[str]:
        """What belongs to a job, or to any, as `kind/name`."""
        what, flag, label = CHILDREN
        return self.cluster.names(what, "-n", self.namespace, flag, label if name is None else f"{label}={name}")

    def events(self, name: str) -> list[tuple[str, str, str]]:
        """Type, reason and message of the events about a job, as they came."""
        found = self.cluster.get("events", "-n", self.namespace, "--sort-by=.lastTimestamp")["items"]
        about = [each for each in found if each["involvedObject"].get("name") == name]
        return [(each["type"], each["reason"], each["message"]) for each in about]

    def has_warned(self, name: str, reason: str, beginning: str) -> bool:
        """Whether a warning of that reason begins so; a restart ends with its time."""
        return any(
            (kind, why) == ("Warning", reason) and message.startswith(beginning)
            for kind, why, message in self.events(name)
        )

    def wait(self, name: str, what: str, condition: Callable[[Status], bool], seconds: float = 90) -> Status:
        """Wait until a job's status meets a condition; the status. It will not once the job has ended otherwise."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.status(name)
            if condition(status):
                return status
            over = time.monotonic() > deadline or status.get("state") in ENDED
            assert not over, f"no {what} within {seconds:.0f} s:\n{json.dumps(status, indent=1)}\n{self.describe(name)}"
            time.sleep(1)

    def wait_for_end(self, name: str, seconds: float = 300) -> Status:
        """Wait until a job has ended, either way; its status."""
        return self.wait(name, "end", lambda status: status.get("state") in ENDED, seconds)

    def wait_for_running(self, name: str) -> Status:
        """Wait until all pods of a job run; its status."""
        return self.wait(name, "training", lambda status: status.get("state") == "Running")

    def wait_for_phase(self, pod: str, phase: str) -> None:
        """Wait until a pod is in a phase."""
        self.kubectl("wait", f"pod/{pod}", f"--for=jsonpath={{.status.phase}}={phase}", "--timeout=50s")

    def wait_for_commit(self, name: str) -> Status:
        """Wait until a job runs and can be gone on with; its status."""
        return self.wait(name, "commit", lambda status: status.get("lastCheckpoint", {}).get("step", 0) > 0, 180)

    def add_condition(self, pod: str, condition: Mapping[str, str]) -> None:
        """Add a condition to a pod's status, as a controller would that the cluster lacks; kubelets leave it there."""
        thing = self.cluster.get("pod", pod, "-n", self.namespace)
        thing["status"]["conditions"].append(condition)
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/status"
        self.cluster.kubectl("replace", "--raw", path, "-f", "-", text=json.dumps(thing))

    def describe(self, name: str) -> str:
        """What kubectl shows of a job and of its pods."""
        return self.kubectl("describe", "mtj", name) + self.kubectl("get", "pods", "-o", "wide")

    def clean(self) -> None:
        """Delete everything, and fail if the jobs leave anything behind."""
        self.kubectl("delete", "mtj", "--all", "--timeout=20s")
        wait_for(f"the end of {self.children()}", lambda: not self.children(), GONE_SECONDS)
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")
        volumes = [f"{self.namespace}-{name}" for name in self.claims]
        self.cluster.kubectl("delete", "pv", *volumes, "--ignore-not-found", "--wait=false")
        self.agent.shell(f"rm -rf {self.namespace}")


def condition(status: Status, kind: str) -> tuple[str, str, str]:
    """Status, reason and message of a condition."""
    found = next(each for each in status["conditions"] if each["type"] == kind)
    return found["status"], found["reason"], found["message"]


def claim(namespace: str, name: str, path: str, node: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """A static volume on a folder of a node (None: of all), and the claim that it is kept for.

    The volume names the claim: the other way round it may take the 15 s until their controller looks at all again.
    """
    shared = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    size = {"storage": "1Gi"}
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    affinity = {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}}} if node else {}
    volume = {
        **shared,
        "capacity": size,
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name},
        "hostPath": {"path": path},
        **affinity,
    }
    return (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{namespace}-{name}"},
            "spec": volume,
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {**shared, "resources": {"requests": size}},
        },
    )
