"""The operator as the chart installs it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from charts import CHART, ROOT
from e2e_cluster import GONE_SECONDS, Cluster, wait_for
from e2e_node import NodeAgent

HELM = ROOT / ".cache/helm/helm4"
OLD_SERVER = ("--server-side=false", "--disable-openapi-validation")
"""What an API server before 1.25 needs: its own check does not know the rules in the CRD."""

LEFT = "all,configmaps,secrets,serviceaccounts,roles,rolebindings,networkpolicies"
LEFT_OF_CLUSTER = "clusterroles,clusterrolebindings"


@dataclass(frozen=True)
class Release:
    """A release of the chart.

    Attributes:
        cluster: where it is.
        values: values that differ from the chart's.
        name: of the release, and of the operator's Deployment.
        namespace: its namespace.
    """

    cluster: Cluster
    values: Mapping[str, str]
    name: str = "gmeta-e2e"
    namespace: str = "gmeta-e2e"

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The release is there while the block runs."""
        self.install()
        try:
            yield
        finally:
            self.uninstall()

    @contextmanager
    def changed(self, values: Mapping[str, str]) -> Iterator[None]:
        """Other values while the block runs: `helm upgrade`, which applies the CRD again too."""
        self.install(values)
        try:
            yield
        finally:
            self.install()

    def install(self, changes: Mapping[str, str] | None = None) -> None:
        """Install it, or bring what an interrupted run has left up to date; wait until the operator is ready."""
        wanted = {**self.values, **(changes or {})}
        values = [part for name, value in wanted.items() for part in ("--set", f"{name}={value}")]
        flags = OLD_SERVER if self.cluster.minor_version() < 25 else ()
        self.helm("upgrade", "--install", self.name, str(CHART), "--create-namespace", *flags, *values)
        self.rolled_out()

    def uninstall(self) -> None:
        """Take it away, and fail if anything stays but the CRD."""
        self.helm("uninstall", self.name)
        wait_for("the end of all that the release has made", lambda: self.left() == [], GONE_SECONDS)

    def helm(self, *arguments: str) -> str:
        """Run helm in its namespace; what it prints."""
        return self.cluster.run(str(HELM), *arguments, "--namespace", self.namespace, seconds=120)

    def left(self) -> list[str]:
        """Objects of the release that are there, as `kind/name`."""
        selector = ("-l", f"app.kubernetes.io/instance={self.name}")
        return [
            *self.cluster.names(LEFT, "-n", self.namespace, *selector),
            *self.cluster.names(LEFT_OF_CLUSTER, *selector),
        ]

    def pods(self) -> list[dict[str, Any]]:
        """The operators' pods; those that end do not count."""
        found = self.cluster.get("pods", "-n", self.namespace, "-l", self._pods)["items"]
        return [dict(each) for each in found if "deletionTimestamp" not in each["metadata"]]

    def pod(self) -> dict[str, Any]:
        """The operator's pod."""
        (pod,) = self.pods()
        return pod

    def restarts(self) -> int:
        """How often the container of the operator's pod has been started again."""
        (container,) = self.pod()["status"]["containerStatuses"]
        return int(container["restartCount"])

    def kill(self, agent: NodeAgent) -> None:
        """End its process as a crash does, and wait until Kubernetes has started it again."""
        before = self.restarts()
        agent.kill(self.pod()["metadata"]["name"], self.namespace)
        wait_for("the operator's restart", lambda: self.restarts() > before)
        self.rolled_out()

    def replace_pod(self, agent: NodeAgent) -> None:
        """End its process as a crash does, and have another pod made: one that crashes again and again would wait."""
        (container, *_) = self.pod()["status"].get("containerStatuses", [{}])
        name = self.pod()["metadata"]["name"]
        if "running" in container.get("state", {}):
            agent.kill(name, self.namespace)
        self.cluster.kubectl("delete", "pod", name, "-n", self.namespace, "--grace-period=0", "--force")

    @contextmanager
    def down(self) -> Iterator[None]:
        """No operator while the block runs."""
        self._scale(0)
        try:
            yield
        finally:
            self._scale(1)
            self.rolled_out()

    @contextmanager
    def replicas(self, count: int) -> Iterator[None]:
        """So many operators while the block runs."""
        self._scale(count)
        self.rolled_out()
        try:
            yield
        finally:
            self._scale(1)
            self.rolled_out()

    def lease(self) -> dict[str, Any]:
        """What the Lease says of who leads."""
        return dict(self.cluster.get("lease", self.name, "-n", self.namespace)["spec"])

    def leader(self) -> str:
        """The pod that leads, or led last."""
        return str(self.lease()["holderIdentity"]).partition("/")[0]

    def wait_for_next_leader(self, transitions: int, seconds: float = 60) -> float:
        """Wait until the Lease was taken again; Unix time at which it was."""
        wait_for("another leader", lambda: self.lease()["leaseTransitions"] > transitions, seconds)
        return datetime.fromisoformat(self.lease()["acquireTime"]).timestamp()

    def log(self) -> str:
        """What the operator has written since its container started."""
        return self.cluster.kubectl("logs", f"deployment/{self.name}", "-n", self.namespace)

    def events(self, pod: str) -> list[str]:
        """What Kubernetes tells of an operator's pod."""
        found = self.cluster.get("events", "-n", self.namespace, "--field-selector", f"involvedObject.name={pod}")
        return [str(each["message"]) for each in found["items"]]

    def last_words(self, pod: str) -> str:
        """What the former process in an operator's pod has written; nothing while there was none."""
        found = self.cluster.get("pod", pod, "-n", self.namespace)["status"].get("containerStatuses", ())
        if not any(each["restartCount"] for each in found):
            return ""
        return self.cluster.kubectl("logs", pod, "-n", self.namespace, "--previous")

    @property
    def _pods(self) -> str:
        return f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component=operator"

    def _scale(self, replicas: int) -> None:
        self.cluster.kubectl("scale", f"deployment/{self.name}", "-n", self.namespace, f"--replicas={replicas}")
        pods = ("pods", "-n", self.namespace, "-l", self._pods)
        wait_for(f"{replicas} operators", lambda: len(self.cluster.names(*pods)) == replicas, GONE_SECONDS)

    def rolled_out(self) -> None:
        """Wait until every operator is ready."""
        self.cluster.kubectl("rollout", "status", f"deployment/{self.name}", "-n", self.namespace, "--timeout=50s")
