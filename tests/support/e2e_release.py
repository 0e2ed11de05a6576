"""The operator as the chart installs it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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

    def install(self) -> None:
        """Install it, or bring what an interrupted run has left up to date; wait until the operator is ready."""
        values = [part for name, value in self.values.items() for part in ("--set", f"{name}={value}")]
        flags = OLD_SERVER if self.cluster.minor_version() < 25 else ()
        self.helm("upgrade", "--install", self.name, str(CHART), "--create-namespace", *flags, *values)
        self._rolled_out()

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

    def pod(self) -> dict[str, Any]:
        """The operator's pod."""
        (pod,) = self.cluster.get("pods", "-n", self.namespace, "-l", self._pods)["items"]
        return dict(pod)

    def restarts(self) -> int:
        """How often the container of the operator's pod has been started again."""
        (container,) = self.pod()["status"]["containerStatuses"]
        return int(container["restartCount"])

    def kill(self, agent: NodeAgent) -> None:
        """End its process as a crash does, and wait until Kubernetes has started it again."""
        before = self.restarts()
        agent.kill(self.pod()["metadata"]["name"], self.namespace)
        wait_for("the operator's restart", lambda: self.restarts() > before)
        self._rolled_out()

    @contextmanager
    def down(self) -> Iterator[None]:
        """No operator while the block runs."""
        self._scale(0)
        try:
            yield
        finally:
            self._scale(1)
            self._rolled_out()

    def log(self) -> str:
        """What the operator has written since its container started."""
        return self.cluster.kubectl("logs", f"deployment/{self.name}", "-n", self.namespace)

    @property
    def _pods(self) -> str:
        return f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component=operator"

    def _scale(self, replicas: int) -> None:
        self.cluster.kubectl("scale", f"deployment/{self.name}", "-n", self.namespace, f"--replicas={replicas}")
        pods = ("pods", "-n", self.namespace, "-l", self._pods)
        wait_for(f"{replicas} operators", lambda: len(self.cluster.names(*pods)) == replicas, GONE_SECONDS)

    def _rolled_out(self) -> None:
        self.cluster.kubectl("rollout", "status", f"deployment/{self.name}", "-n", self.namespace, "--timeout=50s")
