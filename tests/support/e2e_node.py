"""A privileged pod on one node: the tests' hand inside the cluster, for files on that node and for killing containers.

It needs nothing of the node but the operator's image, so it works alike on a cluster of this machine and elsewhere.
"""

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e_cluster import Cluster

NODE_FOLDER = "/tmp"
FIND = "grep -ls {container} /proc/[0-9]*/cgroup | cut -d/ -f3"
SIGNAL = """
pids=$(grep -ls {container} /proc/[0-9]*/cgroup | cut -d/ -f3)
[ -n "$pids" ] || {{ echo "no process of container {container} on this node" >&2; exit 1; }}
kill -{signal} $pids 2> /dev/null || true
"""
"""From outside the container: within one, its first process ignores even SIGKILL."""


@dataclass(frozen=True)
class NodeAgent:
    """The pod.

    Attributes:
        cluster: where it is.
        namespace: its namespace.
        image: an image with Python, tar and a shell that the nodes have.
    """

    cluster: Cluster
    namespace: str
    image: str

    def start(self) -> None:
        """Make the pod, and wait for it."""
        self.cluster.apply(self._pod())
        self.cluster.kubectl("wait", "pod/node-agent", "-n", self.namespace, "--for=condition=Ready", "--timeout=50s")

    def stop(self) -> None:
        """Delete the pod."""
        self.cluster.kubectl("delete", "pod", "node-agent", "-n", self.namespace, "--ignore-not-found")

    @property
    def node(self) -> str:
        """The node that it is on."""
        name: str = self.cluster.get("pod", "node-agent", "-n", self.namespace)["spec"]["nodeName"]
        return name

    def shell(self, script: str) -> str:
        """Run a script as root on the node, in the node's folder for temporary files."""
        return self.cluster.kubectl("exec", "node-agent", "-n", self.namespace, "--", "sh", "-c", f"cd /node; {script}")

    def put(self, folder: Path, target: str) -> None:
        """Copy what is in a folder of this machine into a folder of the node that everybody may write."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(folder, ".")
        script = f"mkdir -p /node/{target} && tar -x -C /node/{target} && chmod -R a+rwX /node/{target}"
        agent = ("kubectl", "exec", "-i", "node-agent", "-n", self.namespace, "--", "sh", "-c", script)
        subprocess.run(self.cluster.command(*agent), input=archive.getvalue(), check=True, capture_output=True)

    def kill(self, pod: str, namespace: str) -> None:
        """SIGKILL to the processes of a pod's container, as the kernel or a failing machine gives it."""
        self.signal(pod, namespace, "KILL")

    def signal(self, pod: str, namespace: str, signal: str, *, after: int = 0) -> None:
        """A signal to the processes of a container, some seconds later: STOP freezes them, CONT lets them go on."""
        (container,) = self.cluster.get("pod", pod, "-n", namespace)["status"]["containerStatuses"]
        script = SIGNAL.format(container=container["containerID"].rpartition("/")[2], signal=signal)
        self.shell(f"(sleep {after}; {script}) > /dev/null 2>&1 &" if after else script)

    def pids(self, pod: str, namespace: str) -> list[int]:
        """The processes of a pod's container, by their numbers on the node."""
        (container,) = self.cluster.get("pod", pod, "-n", namespace)["status"]["containerStatuses"]
        return sorted(map(int, self.shell(FIND.format(container=container["containerID"].rpartition("/")[2])).split()))

    def now(self) -> float:
        """The time by the node's clock."""
        return float(self.shell("date +%s.%N"))

    def _pod(self) -> dict[str, Any]:
        container = {
            "name": "agent",
            "image": self.image,
            "imagePullPolicy": "Never",
            "command": ["sleep", "infinity"],
            "securityContext": {"privileged": True, "runAsUser": 0},
            "volumeMounts": [{"name": "node", "mountPath": "/node"}],
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "node-agent", "namespace": self.namespace},
            "spec": {
                "hostPID": True,
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
                "volumes": [{"name": "node", "hostPath": {"path": NODE_FOLDER}}],
            },
        }
