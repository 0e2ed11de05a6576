"""The rules of the generated CRD."""

from collections.abc import Iterator
from typing import Any

from gmeta_api.crd import custom_resource_definition

Json = dict[str, Any]


def rules_of(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every rule in a schema and the place that it blames, such as `spec.workers.env[].name`."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield f"{path}{rule.get('fieldPath', '')}".removeprefix("."), rule
    for name, child in schema.get("properties", {}).items():
        yield from rules_of(child, f"{path}.{name}")
    for name in {"items", "additionalProperties"} & set(schema):
        yield from rules_of(schema[name], f"{path}[]")


RULES = list(rules_of(custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))
