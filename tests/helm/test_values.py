"""values.schema.json refuses what is wrong, by name, and README.md tells of every value."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from charts import CHART, ROOT, Helm
from tools.values_reference import descriptions, page

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def refusal(helm: Helm, values: dict[str, Any]) -> str:
    done = helm.run("template", "gmeta", str(CHART), values=values)
    assert done.returncode != 0, "the values were accepted"
    return done.stderr


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"workers": 2}, "at '': additional properties 'workers' not allowed"),
        ({"replicas": "2"}, "at '/replicas': got string, want integer"),
        ({"image": {"registry": "x"}}, "at '/image': additional properties 'registry' not allowed"),
        ({"image": {"tag": 1.0}}, "at '/image/tag': got number, want string"),
        ({"image": {"repository": ""}}, "at '/image/repository': minLength: got 0, want 1"),
        ({"workerImage": {"digest": "abc"}}, "at '/workerImage/digest': 'abc' does not match pattern"),
        (
            {"image": {"pullPolicy": "always"}},
            "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
        ),
        ({"http": {"port": 80}}, "at '/http/port': minimum: got 80, want 1,024"),
        ({"gangSchedulers": ["kueue"]}, "at '/gangSchedulers/0': value must be one of 'volcano', 'coscheduling'"),
        ({"namespaces": "team-a"}, "at '/namespaces': got string, want array"),
        ({"namespaces": ["a", "a"]}, "at '/namespaces': items at 0 and 1 are equal"),
        ({"namespaces": ["Team"]}, "at '/namespaces/0': 'Team' does not match pattern"),
        ({"probes": {"periodSeconds": 0}}, "at '/probes/periodSeconds': minimum: got 0, want 1"),
        ({"crds": {"install": True}}, "at '/crds': additional properties 'install' not allowed"),
        ({"crds": {"keep": "no"}}, "at '/crds/keep': got string, want boolean"),
        ({"rbac": {"secrets": True}}, "at '/rbac': additional properties 'secrets' not allowed"),
        ({"resources": {"limit": {}}}, "at '/resources': additional properties 'limit' not allowed"),
        ({"podMonitor": {"interval": "15"}}, "at '/podMonitor/interval': '15' does not match pattern"),
        ({"dashboard": {"labels": {"x": 1}}}, "at '/dashboard/labels/x': got number, want string"),
        ({"imagePullSecrets": ["registry"]}, "at '/imagePullSecrets/0': got string, want object"),
        ({"extraEnv": [{"value": "x"}]}, "at '/extraEnv/0': missing property 'name'"),
        (
            {"networkPolicy": {"monitoringNamespaces": ["*"]}},
            "at '/networkPolicy/monitoringNamespaces/0': '*' does not",
        ),
        (
            {"prometheusRule": {"exportStaleAfterHours": 0}},
            "at '/prometheusRule/exportStaleAfterHours': exclusiveMinimum: got 0, want 0",
        ),
        ({"podMonitor": {"enabled": True}}, "at '/podMonitor': additional properties 'enabled' not allowed"),
        ({"podMonitor": {"operator": {"enabled": 1}}}, "at '/podMonitor/operator/enabled': got number, want boolean"),
        ({"podDisruptionBudget": {"enabled": "yes"}}, "at '/podDisruptionBudget/enabled': got string, want boolean"),
    ],
)
def test_a_wrong_value_is_refused_by_name(each_helm: Helm, values: dict[str, Any], message: str) -> None:
    assert message in refusal(each_helm, values)


def objects_of(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of the schema that lists properties, with its path."""
    if "properties" in schema:
        yield path, schema
    for key in ("properties", "definitions"):
        for name, part in schema.get(key, {}).items():
            yield from objects_of(part, f"{path}/{name}")
    if "items" in schema:
        yield from objects_of(schema["items"], f"{path}/-")


OBJECTS = dict(objects_of(SCHEMA))


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path or "/")
def test_no_object_takes_unknown_properties(path: str) -> None:
    part = OBJECTS[path]
    assert part["type"] == "object"
    assert part["additionalProperties"] is False


def keys(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of the values that the schema lists by name: what a user may set one by one."""
    for name, value in values.items():
        part = schema["properties"][name]
        part = SCHEMA["definitions"][part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part
        inside = f"{path}{name}"
        listed = isinstance(value, dict) and "properties" in part and inside != "resources"
        yield from keys(value, part, f"{inside}.") if listed else (inside,)


def test_every_value_has_a_schema_and_a_description() -> None:
    assert list(keys(VALUES, SCHEMA)) == [path for path, _ in descriptions((CHART / "values.yaml").read_text())]


def test_the_schema_lists_no_value_that_values_lack() -> None:
    of_helm = {"global"}  # helm adds it to the values of a subchart
    assert set(SCHEMA["properties"]) - of_helm == set(VALUES)


def test_the_readme_is_the_generated_one() -> None:
    assert (ROOT / "helm/gmeta/README.md").read_text() == page(CHART), "run `make chart`"
