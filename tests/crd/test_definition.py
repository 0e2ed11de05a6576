"""The CRD as a current API server keeps it, and what it says of the examples."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from crd_server import CrdServer

from gmeta_api.crd import custom_resource_definition
from gmeta_api.yaml_loader import read_manifest

Json = dict[str, Any]

FOLDER = Path(__file__).parents[2] / "examples"
NIGHTLY = FOLDER / "export-nightly.yaml"
"""A CronJob that makes jobs, and what it needs; the job is in a ConfigMap."""
EXAMPLES = sorted(path for path in FOLDER.glob("*.yaml") if "\nkind: MetaTrainingJob\n" in path.read_text())
OF_KUBERNETES = {".apiVersion", ".kind", ".metadata", ".metadata.name"}
"""Fields that the API server describes itself."""


def fields_of(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every field that `kubectl explain` can be asked for."""
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from fields_of(child, f"{path}.{name}")
    for name in {"items", "additionalProperties"} & set(schema):
        yield from fields_of(schema[name], path)


def test_the_server_keeps_the_schema_as_it_is_sent(server: CrdServer) -> None:
    sent = custom_resource_definition()
    kept = server.definition(sent)["spec"]["versions"][0]
    assert kept["schema"] == sent["spec"]["versions"][0]["schema"]
    assert kept["subresources"] == sent["spec"]["versions"][0]["subresources"]


def test_every_field_has_an_explain_text(server: CrdServer) -> None:
    root = server.definition(custom_resource_definition())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    fields = dict(fields_of(root))
    assert len(fields) > 200
    assert [
        path for path, schema in fields.items() if path not in OF_KUBERNETES and not schema.get("description")
    ] == []
    assert root["description"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_accepted(server: CrdServer, path: Path) -> None:
    assert server.try_create(read_manifest(path)).refusal == ""


def test_the_job_of_a_night_is_accepted(server: CrdServer) -> None:
    (maps,) = (each for each in yaml.safe_load_all(NIGHTLY.read_text()) if each["kind"] == "ConfigMap")
    job = yaml.safe_load(maps["data"]["job.yaml"].replace("TODAY", "20260102"))
    assert server.try_create(job).refusal == ""
