"""The cluster of the end-to-end tests: `$KUBECONFIG` where it is set, else the control script `$GMETA_TEST_CLUSTER`."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

WAYS = (
    "KUBECONFIG (a cluster whose nodes have the images) or GMETA_TEST_CLUSTER (the path of a cluster's control script)"
)

GONE_SECONDS = 120
"""How long a deleted pod may stay: some kubelets tell of its end only when they next remove dead containers."""


@dataclass(frozen=True)
class Cluster:
    """A cluster, and how commands reach it.

    Attributes:
        name: what the tests call it in their output.
        script: starts it and runs commands in its network; None where it runs already and can be reached from here.
    """

    name: str
    script: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Cluster | None":
        """The cluster that the environment names, if it names one."""
        if kubeconfig := environment.get("KUBECONFIG"):
            return cls(f"KUBECONFIG={kubeconfig}")
        if script := environment.get("GMETA_TEST_CLUSTER"):
            return cls(f"GMETA_TEST_CLUSTER={script}", Path(script))
        return None

    def up(self) -> None:
        """Start it unless it is up; an error says why it cannot be reached."""
        if self.script is not None:
            self._call([str(self.script), "up"], seconds=180)
        else:
            self.kubectl("version")

    def node(self, *arguments: str) -> None:
        """Have the control script do something to a node."""
        assert self.script is not None, "nodes are stopped and started by a control script"
        self._call([str(self.script), "node", *arguments], seconds=120)

    @contextmanager
    def paused(self, process: str) -> Iterator[None]:
        """A process of the control plane stands still while the block runs; afterwards the API server answers."""
        assert self.script is not None, "processes are found by a control script"
        lines = (line.split() for line in self._call([str(self.script), "status"]).splitlines())
        (pid,) = (int(words[2]) for words in lines if words[:2] == [process, "pid"])
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
            wait_for("the API server's answer", self._answers)

    def command(self, *arguments: str) -> list[str]:
        """A command as it is run against the cluster."""
        return [str(self.script), "exec", *arguments] if self.script is not None else list(arguments)

    def run(self, *arguments: str, text: str | None = None, seconds: float = 60) -> str:
        """Run a command against the cluster; its output."""
        return self._call(self.command(*arguments), text, seconds)

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl; its output."""
        return self.run("kubectl", *arguments, text=text)

    def apply(self, *things: dict[str, Any]) -> None:
        """`kubectl apply`; without validation, since old servers do not know every field of the CRD."""
        self.kubectl("apply", "--validate=false", "-f", "-", text=yaml.safe_dump_all(things))

    def get(self, *arguments: str) -> dict[str, Any]:
        """`kubectl get` as JSON."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def raw(self, path: str) -> dict[str, Any]:
        """What the API server has at a path."""
        found: dict[str, Any] = json.loads(self.kubectl("get", "--raw", path))
        return found

    def names(self, *arguments: str) -> list[str]:
        """What `kubectl get` finds, as sorted `kind/name`."""
        return sorted(self.kubectl("get", *arguments, "-o", "name").split())

    def minor_version(self) -> int:
        """The N of Kubernetes 1.N."""
        return int(self.raw("/version")["minor"].rstrip("+"))

    def _answers(self) -> bool:
        try:
            self.kubectl("get", "--raw", "/readyz")
        except AssertionError:
            return False
        return True

    def _call(self, command: list[str], text: str | None = None, seconds: float = 60) -> str:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=seconds)
        assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}: {done.stderr or done.stdout}"
        return done.stdout


def wait_for(what: str, condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a condition holds, or fail with what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(1)


def environment_cluster() -> "Cluster | None":
    """The cluster that this process's environment names."""
    return Cluster.from_environment(os.environ)
