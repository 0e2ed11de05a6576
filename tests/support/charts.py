"""Rendering of the chart for its tests."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm/gmeta"
MAJORS = ("helm3", "helm4")
Objects = list[dict[str, Any]]

# name -> values: what a release may look like.
CASES: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "everything": {
        "imagePullSecrets": [{"name": "registry"}],
        "image": {"repository": "registry.example/team/gmeta-operator", "digest": "sha256:" + "a" * 64},
        "workerImage": {"repository": "registry.example/team/gmeta-worker", "tag": "1.0", "pullPolicy": "Always"},
        "serviceAccount": {"annotations": {"example.com/role": "operator"}},
        "podLabels": {"team": "ranking"},
        "podAnnotations": {"example.com/note": "yes"},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "gangSchedulers": ["volcano", "coscheduling"],
        "tolerations": [{"key": "control", "operator": "Exists"}],
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "priorityClassName": "system-cluster-critical",
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
        "replicas": 2,
        "podDisruptionBudget": {"enabled": True},
        "networkPolicy": {"monitoringNamespaces": ["monitoring", "team-metrics"]},
        "podMonitor": {
            "jobs": {"enabled": True},
            "operator": {"enabled": True},
            "labels": {"release": "prometheus"},
        },
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}, "exportStaleAfterHours": 36},
        "dashboard": {"enabled": True, "namespace": "monitoring", "annotations": {"grafana_folder": "Training"}},
    },
    "namespaces": {
        "namespaces": ["team-a", "team-b"],
        "gangSchedulers": ["coscheduling"],
        "podMonitor": {"jobs": {"enabled": True}},
    },
    "bare": {
        "affinity": {"nodeAffinity": {}},
        "crds": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "rbac": {"create": False, "aggregate": False},
        "serviceAccount": {"create": False, "name": "made-elsewhere"},
    },
    "crd goes with the release": {"crds": {"keep": False}, "fullnameOverride": "meta"},
}


@dataclass(frozen=True)
class Helm:
    """A helm program.

    Attributes:
        program: where it is.
        folder: for its values files.
        release: name of the release that it renders.
        namespace: namespace of that release.
    """

    program: Path
    folder: Path
    release: str = "gmeta"
    namespace: str = "gmeta-system"

    def run(self, *arguments: str, values: Mapping[str, Any]) -> "subprocess.CompletedProcess[str]":
        """Run helm on the chart with these values; the caller looks at the exit status."""
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(dict(values)))
        command = [str(self.program), *arguments, "--values", str(file)]
        home = {"HOME": str(self.folder), "PATH": "/usr/bin:/bin"}
        return subprocess.run(command, check=False, capture_output=True, text=True, env=home)

    def template(self, values: Mapping[str, Any], *arguments: str) -> str:
        """The rendered chart."""
        done = self.run("template", self.release, str(CHART), "--namespace", self.namespace, *arguments, values=values)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def objects(self, values: Mapping[str, Any], *arguments: str) -> Objects:
        """The objects of the rendered chart."""
        return [found for found in yaml.safe_load_all(self.template(values, *arguments)) if found]


def of_kind(objects: Objects, kind: str) -> Objects:
    """The objects of one kind."""
    return [found for found in objects if found["kind"] == kind]


def only(objects: Objects, kind: str) -> dict[str, Any]:
    """The one object of a kind."""
    (found,) = of_kind(objects, kind)
    return found
