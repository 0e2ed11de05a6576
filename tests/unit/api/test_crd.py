"""The CRD is the checked-in one, structural, documented and bounded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import Field

from gmeta_api import crd, reference
from gmeta_api.load import parse_job
from gmeta_api.shapes import object_shape
from gmeta_api.spec import MetaTrainingJob, SpecModel
from gmeta_api.spec.patterns import WORDS
from gmeta_api.yaml_loader import parse_yaml

ROOT = Path(__file__).parents[3]
CRD = crd.custom_resource_definition()
VERSION = CRD["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]

Node = tuple[str, dict[str, Any]]


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[Node]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from nodes(schema[name], f"{path}[]")


USER_NODES = [node for group in ("spec", "status") for node in nodes(SCHEMA["properties"][group], group)]


def test_the_checked_in_files_are_current() -> None:
    assert (ROOT / "crds/gmeta.dev_metatrainingjobs.yaml").read_text() == crd.to_yaml(), "run `make crds`"
    assert (ROOT / "docs/manifest.md").read_text() == reference.page(), "run `make reference`"


def test_the_yaml_says_what_the_models_say() -> None:
    assert yaml.safe_load(crd.to_yaml()) == CRD


def test_every_node_is_structural() -> None:
    """https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/ (structural)."""
    foreign = {"$ref", "anyOf", "oneOf", "allOf", "not", "const", "definitions", "discriminator", "nullable", "title"}
    for path, schema in nodes(SCHEMA):
        assert not foreign & set(schema), path
        assert "type" in schema or schema.get("x-kubernetes-int-or-string"), path
        assert not ("properties" in schema and "additionalProperties" in schema), path
        assert set(schema.get("required", ())) <= set(schema.get("properties", {})), path
        for name in schema.get("required", ()):
            assert "default" not in schema["properties"][name], f"{path}.{name}"


def test_every_field_is_described_in_a_sentence() -> None:
    for path, schema in USER_NODES:
        if not path.endswith("[]"):
            assert schema["description"].endswith("."), path
            assert len(schema["description"]) >= 15, path


def test_every_value_is_bounded() -> None:
    """CEL's cost is estimated from the bounds; without them the API server refuses the rules."""
    bounds = {"string": {"maxLength"}, "integer": {"minimum", "maximum"}, "number": {"minimum", "maximum"}}
    for path, schema in USER_NODES:
        needed = bounds.get(schema.get("type", ""), set())
        if schema.get("type") == "array":
            needed = {"maxItems"}
        if "additionalProperties" in schema:
            needed = {"maxProperties"}
        assert "enum" in schema or needed <= set(schema), path


def test_every_numeric_bound_fits_64_bits() -> None:
    """The API server compares a whole number with its bounds as integers; a larger bound overflows and refuses it."""
    bounds = [(path, node[key]) for path, node in USER_NODES for key in ("minimum", "maximum") if key in node]
    assert bounds
    assert [(path, bound) for path, bound in bounds if abs(bound) > 2**53] == []


def test_lists_with_keys_have_the_key() -> None:
    keyed = [(path, schema) for path, schema in USER_NODES if schema.get("x-kubernetes-list-type") == "map"]
    assert len(keyed) >= 8
    for path, schema in keyed:
        assert set(schema["x-kubernetes-list-map-keys"]) <= set(schema["items"]["required"]), path


def test_scale_and_columns_point_at_fields() -> None:
    paths = {f".{path}" for path, _ in USER_NODES}
    scale = VERSION["subresources"]["scale"]
    columns = [column["jsonPath"] for column in VERSION["additionalPrinterColumns"]]
    assert {*scale.values(), *columns} - paths == {".metadata.creationTimestamp"}
    assert [column["name"] for column in VERSION["additionalPrinterColumns"] if "priority" not in column] == [
        "State", "Reason", "Workers", "Restarts", "Step", "Progress", "Samples/s", "AUC", "Age",
    ]  # fmt: skip


def test_every_pattern_has_words() -> None:
    patterns = {schema["pattern"] for _, schema in nodes(SCHEMA["properties"]["spec"]) if "pattern" in schema}
    assert patterns
    assert patterns <= set(WORDS)


def test_the_defaults_of_the_schema_are_those_of_the_models(manifest: dict[str, Any]) -> None:
    """What the API server fills in, level by level, is what a command reads from the same file; but for empty texts."""
    job = parse_job(manifest)
    stored = defaulted(SCHEMA["properties"]["spec"], manifest["spec"])
    assert stored == without_empty_texts(job.spec.model_dump(mode="json", by_alias=True, exclude_none=True))


def without_empty_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_empty_texts(child) for name, child in value.items() if child != ""}
    return [without_empty_texts(item) for item in value] if isinstance(value, list) else value


def defaulted(schema: dict[str, Any], value: Any) -> Any:
    if isinstance(value, dict) and "properties" in schema:
        absent = {
            name: child["default"]
            for name, child in schema["properties"].items()
            if name not in value and "default" in child
        }
        whole = value | absent
        return {name: defaulted(schema["properties"][name], item) for name, item in whole.items()}
    if isinstance(value, list):
        return [defaulted(schema["items"], item) for item in value]
    return value


class Foreign(SpecModel):
    bad: Annotated[complex, Field()]


class Choice(SpecModel):
    bad: int | str


class Multiple(SpecModel):
    bad: Annotated[int, Field(multiple_of=2)]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Foreign, r"^Foreign.bad: <class 'complex'> is not a shape of a structural schema; use one of those in "),
        (Choice, r"^Choice.bad: int \| str is not a shape of a structural schema; use one of those in "),
        (Multiple, r"^Multiple.bad: the constraint MultipleOf\(multiple_of=2\) has no counterpart in a structural "),
    ],
)
def test_a_type_outside_the_closed_list_is_refused(model: type[SpecModel], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        crd.schema_of(object_shape(model))


def test_the_example_of_the_reference_is_valid() -> None:
    page = (ROOT / "docs/manifest.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]
    assert isinstance(parse_job(parse_yaml(example, "docs/manifest.md")), MetaTrainingJob)
