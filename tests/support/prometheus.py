"""A Prometheus of a test's own, and what the dashboard asks it."""

import json
import math
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml
from charts import CHART
from local_job import wait_until
from unavailable import unavailable

from gmeta_worker.local.site import free_ports

Query = tuple[str, str]
"""A panel's title and what it asks."""

DASHBOARD = json.loads((CHART / "files/gmeta-job.json").read_text())
QUERIES: tuple[Query, ...] = tuple(
    (panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])
)


def substituted(query: str, job_name: str, namespace: str) -> str:
    """A query as Grafana sends it."""
    variables = {"$__rate_interval": "20s", "$__range": "5m", "$job_name": job_name, "$namespace": namespace}
    for name, value in variables.items():
        query = query.replace(name, value)
    return query


class Prometheus:
    """A running Prometheus.

    Args:
        folder: where its files go.
        scrape_configs: what it scrapes.
        command: how a command is run where the targets are.
    """

    def __init__(
        self,
        folder: Path,
        scrape_configs: Sequence[Mapping[str, Any]],
        command: Callable[..., list[str]] = lambda *arguments: list(arguments),
    ) -> None:
        if shutil.which("prometheus") is None:
            unavailable("no prometheus on PATH: install Debian's package `prometheus`")
        config = folder / "prometheus.yaml"
        config.write_text(yaml.safe_dump({"scrape_configs": list(scrape_configs)}))
        port = free_ports(1)
        self._address = f"http://127.0.0.1:{port}"
        self._command = command
        self._log = (folder / "prometheus.log").open("w")
        self._process = subprocess.Popen(
            command(
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ),
            stderr=self._log,
        )

    def __enter__(self) -> Self:
        wait_until(lambda: self._ask("vector(1)").returncode == 0, "Prometheus", 30)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._log.close()

    def ask(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series that a query finds now."""
        done = self._ask(query)
        assert done.returncode == 0, f"{query}: {done.stderr}"
        return [(series["metric"], float(series["value"][1])) for series in json.loads(done.stdout)]

    def wait_for_data(self, queries: Iterable[Query], job_name: str, namespace: str, seconds: float = 90) -> None:
        """Wait until each query has had a number as its answer, or fail with those that had none."""
        missing = list(queries)

        def all_answered() -> bool:
            missing[:] = [each for each in missing if not self._has_number(substituted(each[1], job_name, namespace))]
            return not missing

        try:
            wait_until(all_answered, "data", seconds)
        except AssertionError:
            raise AssertionError(f"Prometheus has no data for {missing}") from None

    def _has_number(self, query: str) -> bool:
        return any(math.isfinite(value) for _, value in self.ask(query))

    def _ask(self, query: str) -> "subprocess.CompletedProcess[str]":
        command = self._command("promtool", "query", "instant", "--format=json", self._address, query)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
