"""`--set path=value`: single values of a manifest from the command line."""

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from gmeta_api.errors import ManifestError, Problem
from gmeta_api.nearest import unknown_field
from gmeta_api.shapes import Location, Shape, fields_of, format_path, object_shape
from gmeta_api.spec import MetaTrainingJob
from gmeta_api.spec.base import SpecModel
from gmeta_api.yaml_loader import describe, parse_yaml

_PATH = re.compile(r"[^.\[\]]+(\[[0-9]{1,9}\])*(\.[^.\[\]]+(\[[0-9]{1,9}\])*)*")
_PART = re.compile(r"\[([0-9]+)\]|([^.\[\]]+)")


def apply_settings(manifest: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """A copy of a manifest with some values set.

    Args:
        manifest: the manifest as it was read.
        settings: texts such as `spec.meta.inner.steps=2` or `spec.data.prepare.labels[0].rule=rating >= 5`. Values
            are YAML; groups that are absent are created; an index one past the end of a list appends to it.

    Raises:
        ManifestError: a setting is not `path=value`, or its path leads nowhere; all such settings at once.
    """
    result: dict[str, Any] = deepcopy(dict(manifest))
    problems: list[Problem] = []
    for setting in settings:
        try:
            _apply(result, setting)
        except ManifestError as error:
            problems.extend(error.problems)
    if problems:
        raise ManifestError(problems)
    return result


def value_at(manifest: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - any JSON value
    """The value at a path that `apply_settings` would set, None where there is none."""
    value: Any = manifest
    for part in _parts(path):
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _parts(path: str) -> Location:
    return tuple(int(index) if index else name for index, name in _PART.findall(path))


def _apply(manifest: dict[str, Any], setting: str) -> None:
    path, equals, text = setting.partition("=")
    if not equals or not _PATH.fullmatch(path):
        raise _error(f"--set {setting}", "expected path=value, such as spec.meta.inner.steps=2")
    parts = _parts(path)
    _check_path(parts)
    _assign(manifest, parts, parse_yaml(text, f"--set {path}"))


def _check_path(parts: Location) -> None:
    shape = object_shape(MetaTrainingJob)
    for position, part in enumerate(parts):
        if shape.kind == "free":
            return
        if isinstance(part, int) != (shape.kind == "list") or not (shape.model or shape.item):
            raise _error(format_path(parts[: position + 1]), _wrong_step(shape, part))
        if shape.model is not None and part not in fields_of(shape.model):
            raise _error(format_path(parts[: position + 1]), _unknown(str(part), shape.model))
        shape = _step(shape, part)


def _step(shape: Shape, part: int | str) -> Shape:
    if shape.model is not None:
        return fields_of(shape.model)[str(part)].shape
    assert shape.item is not None, "every shape that is no object and has steps has items"
    return shape.item


def _wrong_step(shape: Shape, part: int | str) -> str:
    if shape.kind == "list":
        return f"a list needs an index such as [0], received {part!r}"
    if isinstance(part, str):
        return "a value has no fields"
    return f"an index needs a list, received one for a {'mapping' if shape.kind in ('object', 'map') else 'value'}"


def _unknown(name: str, model: type[SpecModel]) -> str:
    return unknown_field(name, model, MetaTrainingJob)


def _assign(manifest: dict[str, Any], parts: Location, value: Any) -> None:  # noqa: ANN401 - any JSON value
    target: Any = manifest
    for position, (part, following) in enumerate(zip(parts, (*parts[1:], None), strict=True)):
        _check_target(target, parts, position)
        if following is None:
            _put(target, part, value)
            return
        empty: dict[str, Any] | list[Any] = [] if isinstance(following, int) else {}
        if (part not in target) if isinstance(target, dict) else (part == len(target)):
            _put(target, part, empty)
        target = target[part]


def _put(target: Any, part: int | str, value: Any) -> None:  # noqa: ANN401 - any JSON value
    if isinstance(target, list) and part == len(target):
        target.append(value)
    else:
        target[part] = value


def _check_target(target: object, parts: Location, position: int) -> None:
    part = parts[position]
    if isinstance(target, list) and isinstance(part, int):
        if part > len(target):
            message = f"the list has {len(target)} items; the next index is {len(target)}"
            raise _error(format_path(parts[: position + 1]), message)
    elif not (isinstance(target, dict) and isinstance(part, str)):
        expected = "a list" if isinstance(part, int) else "a mapping"
        raise _error(format_path(parts[:position]), f"expected {expected} in the file, received {describe(target)}")


def _error(path: str, message: str) -> ManifestError:
    return ManifestError([Problem(path, message)])
