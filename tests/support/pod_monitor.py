"""A PodMonitor as the Prometheus operator turns it into scrape configurations: a test scrapes by what is shipped.

Debian's Prometheus is built without discovery by the Kubernetes API. So the targets come from a file, with the labels
that Prometheus documents for the role `pod`; which of them are scraped, and as what, is Prometheus's own relabeling.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Config = dict[str, Any]


def scrape_configs(monitor: Mapping[str, Any], targets: Path) -> list[Config]:
    """One configuration for each endpoint of a PodMonitor, as the Prometheus operator names and orders them."""
    name = f"{monitor['metadata']['namespace']}/{monitor['metadata']['name']}"
    return [
        {
            "job_name": f"podMonitor/{name}/{number}",
            "honor_labels": endpoint.get("honorLabels", False),
            "scrape_interval": endpoint["interval"],
            "scrape_timeout": endpoint["interval"],
            "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}],
            "relabel_configs": [
                *_namespaces(monitor),
                {**_keep("pod_phase", "(Failed|Succeeded)"), "action": "drop"},
                *_selected(monitor["spec"]["selector"]),
                _keep("pod_container_port_name", endpoint["port"]),
                _take("namespace", "__meta_kubernetes_namespace"),
                _take("container", "__meta_kubernetes_pod_container_name"),
                _take("pod", "__meta_kubernetes_pod_name"),
                {"target_label": "job", "replacement": name},
                {"target_label": "endpoint", "replacement": endpoint["port"]},
            ],
        }
        for number, endpoint in enumerate(monitor["spec"]["podMetricsEndpoints"])
    ]


def write_targets(path: Path, pods: Iterable[Mapping[str, Any]]) -> None:
    """Write a target for each port of each container that has an address."""
    found = [target for pod in pods if "podIP" in pod["status"] for target in _targets(pod)]
    part = path.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.rename(path)


def _targets(pod: Mapping[str, Any]) -> Iterator[Config]:
    metadata, status = pod["metadata"], pod["status"]
    own = metadata.get("labels", {})
    labels = {
        "namespace": metadata["namespace"],
        "pod_name": metadata["name"],
        "pod_ip": status["podIP"],
        "pod_phase": status["phase"],
        **{f"pod_label_{_sanitized(label)}": value for label, value in own.items()},
        **{f"pod_labelpresent_{_sanitized(label)}": "true" for label in own},
    }
    for container in pod["spec"]["containers"]:
        for port in container.get("ports", ()):
            of_port = {"pod_container_name": container["name"], "pod_container_port_name": port.get("name", "")}
            marked = {f"__meta_kubernetes_{name}": value for name, value in (labels | of_port).items()}
            yield {"targets": [f"{status['podIP']}:{port['containerPort']}"], "labels": marked}


def _namespaces(monitor: Mapping[str, Any]) -> Iterator[Config]:
    """The namespaces, which a discovery by the Kubernetes API would not look beyond."""
    selector = monitor["spec"].get("namespaceSelector", {})
    if not selector.get("any"):
        yield _keep("namespace", "|".join(selector.get("matchNames", [monitor["metadata"]["namespace"]])))


def _selected(selector: Mapping[str, Any]) -> Iterator[Config]:
    for label, value in selector.get("matchLabels", {}).items():
        yield _keep(f"pod_label_{_sanitized(label)}", re.escape(value))
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "Exists", "the chart uses no other"
        yield _keep(f"pod_labelpresent_{_sanitized(expression['key'])}", "true")


def _sanitized(label: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", label)


def _keep(what: str, regex: str) -> Config:
    return {"action": "keep", "source_labels": [f"__meta_kubernetes_{what}"], "regex": regex}


def _take(label: str, source: str) -> Config:
    return {"source_labels": [source], "target_label": label}
