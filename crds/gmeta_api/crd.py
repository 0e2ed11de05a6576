"""The CustomResourceDefinition, generated from the typed models: `python -m gmeta_api.crd` prints it.

A structural schema knows no `$ref`, no `anyOf` with null and no `const`, so pydantic's own JSON schema does not do. The
emitter writes the closed list of `gmeta_api.shapes` and nothing else.
"""

import sys
from typing import Any

import yaml

from gmeta_api.shapes import ModelField, Shape, fields_of, object_shape
from gmeta_api.spec.base import Rule, SpecModel
from gmeta_api.spec.job import GROUP, KIND, VERSION, MetaTrainingJob
from gmeta_api.spec.patterns import WORDS
from gmeta_api.status import Status

PLURAL = "metatrainingjobs"

Schema = dict[str, Any]

_COLUMNS = (
    ("State", "string", ".status.state", 0),
    ("Reason", "string", ".status.reason", 0),
    ("Workers", "integer", ".status.workers.ready", 0),
    ("Restarts", "integer", ".status.restarts.counted", 0),
    ("Step", "integer", ".status.progress.step", 0),
    ("Progress", "integer", ".status.progress.percent", 0),
    ("Samples/s", "number", ".status.progress.samplesPerSecond", 0),
    ("AUC", "number", ".status.progress.auc", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Desired", "integer", ".status.workers.desired", 1),
    ("Attempt", "integer", ".status.attempt", 1),
    ("Loss", "number", ".status.progress.loss", 1),
    ("GAUC", "number", ".status.progress.gauc", 1),
    ("Checkpoint", "integer", ".status.lastCheckpoint.step", 1),
    ("Failure", "string", ".status.lastFailure.class", 1),
    ("Goodput", "number", ".status.goodput.ratio", 1),
    ("Phase", "string", ".status.goodput.phase", 1),
)


def custom_resource_definition() -> Schema:
    """The CRD as a plain object."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": "metatrainingjob",
                "shortNames": ["mtj"],
                "categories": ["all", "gmeta"],
            },
            "scope": "Namespaced",
            "versions": [_version()],
        },
    }


def schema_of(shape: Shape) -> Schema:
    """The structural schema of a shape."""
    return {**_type_of(shape), **_bounds_of(shape), **_rules_of((*_key_rules(shape), *shape.rules))}


def _version() -> Schema:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [_column(*column) for column in _COLUMNS],
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.workers.replicas",
                "statusReplicasPath": ".status.workers.ready",
                "labelSelectorPath": ".status.selector",
            },
        },
        "schema": {"openAPIV3Schema": _root()},
    }


def _column(name: str, kind: str, path: str, priority: int) -> Schema:
    column = {"name": name, "type": kind, "jsonPath": path}
    return column | {"priority": priority} if priority else column


def _root() -> Schema:
    """The whole object; the API server itself knows apiVersion, kind and metadata."""
    spec = fields_of(MetaTrainingJob)["spec"]
    return {
        "type": "object",
        "description": MetaTrainingJob.__doc__,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
            "spec": _field_schema(spec),
            "status": {"description": Status.__doc__, **schema_of(object_shape(Status))},
        },
        **_rules_of(MetaTrainingJob.cel_rules),
    }


def _field_schema(field: ModelField) -> Schema:
    # Kubernetes 1.20 reads the default "" as null and refuses it; the operator fills it in all the same.
    default = {} if field.default in (None, "") else {"default": field.default}
    return {"description": field.description, **schema_of(field.shape), **default}


def _object(model: type[SpecModel]) -> Schema:
    fields = fields_of(model)
    required = [name for name, field in fields.items() if field.required]
    return {
        "type": "object",
        **({"required": required} if required else {}),
        "properties": {name: _field_schema(field) for name, field in fields.items()},
    }


def _type_of(shape: Shape) -> Schema:
    match shape:
        case Shape(kind="object", model=model) if model is not None:
            return _object(model)
        case Shape(kind="list", item=item) if item is not None:
            return {"type": "array", "items": schema_of(item), **_list_type(shape)}
        case Shape(kind="map", item=item) if item is not None:
            return {"type": "object", "additionalProperties": schema_of(item)}
        case Shape(kind="free"):
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        case Shape(kind="any"):
            return {"x-kubernetes-preserve-unknown-fields": True}
        case Shape(kind="int-or-string"):
            return {"x-kubernetes-int-or-string": True}
        case Shape(kind="integer"):
            return {"type": "integer", "format": "int64"}
    return {"type": shape.kind, **({"enum": list(shape.choices)} if shape.choices else {})}


def _list_type(shape: Shape) -> Schema:
    if shape.list_key is None:
        return {"x-kubernetes-list-type": "atomic"}
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [shape.list_key]}


_SIZE_WORDS = {"string": "Length", "int-or-string": "Length", "list": "Items"}


def _bounds_of(shape: Shape) -> Schema:
    size = _SIZE_WORDS.get(shape.kind, "Properties")
    bounds = {
        "minimum": shape.minimum,
        "exclusiveMinimum": shape.above or None,
        "maximum": shape.maximum,
        f"min{size}": shape.min_size,
        f"max{size}": shape.max_size,
        "pattern": shape.pattern,
    }
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _key_rules(shape: Shape) -> tuple[Rule, ...]:
    """The pattern of a map's keys as a rule: a structural schema has none for keys."""
    if shape.key is None or shape.key.pattern is None:
        return ()
    pattern = shape.key.pattern
    return (Rule(f"self.all(key, key.matches('{pattern}'))", f"every key must be {WORDS[pattern]}"),)


def _rules_of(rules: tuple[Rule, ...]) -> Schema:
    return {"x-kubernetes-validations": [_rule(rule) for rule in rules]} if rules else {}


def _rule(rule: Rule) -> Schema:
    field = {"fieldPath": f".{rule.field}"} if rule.field else {}
    return {"rule": rule.cel, "message": rule.message, **field}


class _Dumper(yaml.SafeDumper):
    """Repeats equal parts instead of naming them, which other readers of the file find easier."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401 - PyYAML's own signature
        del data
        return True


def to_yaml() -> str:
    """The CRD as it is checked in."""
    header = "# Generated by `make crds` from gmeta_api; edit the models instead.\n"
    return header + yaml.dump(custom_resource_definition(), Dumper=_Dumper, sort_keys=False, width=120)


if __name__ == "__main__":
    sys.stdout.write(to_yaml())
