"""From a file or a mapping to a checked manifest, or to every problem that it has."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gmeta_api.cel import rule_problems
from gmeta_api.errors import ManifestError, Problem
from gmeta_api.settings import apply_settings
from gmeta_api.shapes import Location, Shape, children, format_path, object_shape
from gmeta_api.spec import MetaTrainingJob
from gmeta_api.spec.base import SpecModel
from gmeta_api.wording import null_problem, shape_problem
from gmeta_api.yaml_loader import read_manifest

AnyModel = TypeVar("AnyModel", bound=SpecModel)

SERVER_METADATA = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
    }
)
"""Metadata that the API server or controllers write; a stored object has it, a manifest may."""


def load_manifest(path: Path, settings: Iterable[str] = ()) -> MetaTrainingJob:
    """Read and check a manifest file.

    Args:
        path: a YAML (or JSON) file with one MetaTrainingJob.
        settings: values to set before checking, such as `spec.meta.inner.steps=2`.

    Raises:
        ManifestError: with every problem of the file.
    """
    return parse_job(apply_settings(read_manifest(path), settings))


def parse_job(manifest: Mapping[str, Any]) -> MetaTrainingJob:
    """Check a manifest, or an object as the API server stores it: its status and server-side metadata are passed over.

    Raises:
        ManifestError: with every problem of the manifest.
    """
    return validate(MetaTrainingJob, _without_server_fields(manifest))


def validate(model: type[AnyModel], data: Mapping[str, Any], location: Location = ()) -> AnyModel:
    """Check one group of a manifest (or a whole one) for shape and rules.

    Args:
        model: model of the group, such as `PrepareSpec`.
        data: the group as JSON values with camelCase names.
        location: where the group is in its file, such as `("spec", "data", "prepare")`, for the problems' paths.

    Raises:
        ManifestError: with every problem of the group.
    """
    value, faults = _parse(model, data)
    if value is not None:
        broken = list(rule_problems(object_shape(model), _dump(value), ()))
    else:
        broken = [*faults.items(), *_rule_problems_of_parts(model, data, tuple(faults))]
    if value is None or broken:
        raise ManifestError(Problem(format_path((*location, *where)), message) for where, message in broken)
    return value


def _parse(model: type[AnyModel], data: object) -> tuple[AnyModel | None, dict[Location, str]]:
    """The model of some data, or what is wrong with its shape.

    JSON mode, because a file has lists where the models have tuples, and strict, because a text is no number.
    """
    faults = {where: null_problem(shape) for where, shape in _nulls(object_shape(model), data, ())}
    try:
        value = model.model_validate_json(json.dumps(_whole_numbers(data)), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        errors = {_location(each): each for each in error.errors(include_url=False) if not _is_miscounted(each)}
        return None, {where: shape_problem(model, details, where) for where, details in errors.items()} | faults
    return (None if faults else value), faults


def _whole_numbers(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The value with 2.0 and 1e3 as 2 and 1000: kubectl and the API server write every whole number like that."""
    match value:
        case dict():
            return {name: _whole_numbers(child) for name, child in value.items()}
        case list():
            return [_whole_numbers(item) for item in value]
        case float() if value.is_integer() and abs(value) < 2**63:
            return int(value)
    return value


def _nulls(shape: Shape, value: object, location: Location) -> Iterator[tuple[Location, Shape]]:
    for child, child_value, part in children(shape, value):
        if child_value is None:
            yield (*location, part), child
        yield from _nulls(child, child_value, (*location, part))


def _dump(value: SpecModel) -> dict[str, Any]:
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


def _rule_problems_of_parts(
    model: type[SpecModel], data: Mapping[str, Any], faults: Collection[Location]
) -> Iterator[tuple[Location, str]]:
    """Broken rules of a group that has faults of shape, as far as they make sense without the faulty values.

    The faulty values are taken out. The rules of an object that held one are left out: they could blame its absence.
    """
    skip = {fault[:-1] for fault in faults}
    yield from _part_problems(object_shape(model), _without(data, faults), (), skip)


def _part_problems(
    shape: Shape, value: object, location: Location, skip: Collection[Location]
) -> Iterator[tuple[Location, str]]:
    whole = None if shape.model is None else _parse(shape.model, value)[0]
    if whole is not None:
        yield from rule_problems(shape, _dump(whole), location, skip)
        return
    for child, child_value, part in children(shape, value):
        yield from _part_problems(child, child_value, (*location, part), skip)


def _is_miscounted(error: ErrorDetails) -> bool:
    """Whether a list is called too short only because pydantic does not count its faulty items, which have errors."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _location(error: ErrorDetails) -> Location:
    return tuple(part for part in error["loc"] if part != "[key]")


def _without(data: Mapping[str, Any], faults: Iterable[Location]) -> dict[str, Any]:
    """A copy of the data without the values at some locations; a list with a faulty item goes as a whole."""
    result: dict[str, Any] = deepcopy(dict(data))
    for fault in faults:
        _remove(result, fault)
    return result


def _remove(data: Any, location: Location) -> None:  # noqa: ANN401 - any JSON value
    while location and isinstance(location[-1], int):
        location = location[:-1]
    for part in location[:-1]:
        inside = part in data if isinstance(data, dict) else isinstance(data, list) and isinstance(part, int)
        if not inside:
            return
        data = data[part]
    if location and isinstance(data, dict):
        data.pop(location[-1], None)


def _without_server_fields(manifest: Mapping[str, Any]) -> dict[str, Any]:
    result = {name: value for name, value in manifest.items() if name != "status"}
    metadata = result.get("metadata")
    if isinstance(metadata, Mapping):
        result["metadata"] = {name: value for name, value in metadata.items() if name not in SERVER_METADATA}
    return result
