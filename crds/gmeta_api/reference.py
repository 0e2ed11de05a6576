"""The field reference of docs/manifest.md: `python -m gmeta_api.reference` prints the whole page.

The head of the page is hand-written (`reference_head.md`, beside this file); tables and rules are read off the models.
"""

import json
import sys
from collections.abc import Iterator
from importlib.resources import files

from gmeta_api.shapes import ModelField, Shape, fields_of, object_shape
from gmeta_api.spec import MetaTrainingJob, Spec
from gmeta_api.spec.base import Rule, SpecModel
from gmeta_api.status import Status


def page() -> str:
    """The whole page."""
    head = files("gmeta_api").joinpath("reference_head.md").read_text(encoding="utf-8")
    parts = [head, *_groups(Spec, "spec"), "## Rules over several fields\n", _rules_table(), *_groups(Status, "status")]
    return "\n".join(parts)


def _groups(model: type[SpecModel], path: str) -> Iterator[str]:
    yield f"## {path}\n\n{_sentence(model)}\n\n{_fields_table(model)}"
    for name, field in fields_of(model).items():
        inner, suffix = _innermost(field.shape)
        if inner.model is not None:
            yield from _groups(inner.model, f"{path}.{name}{suffix}")


def _innermost(shape: Shape) -> tuple[Shape, str]:
    return (shape.item, "[]") if shape.kind == "list" and shape.item is not None else (shape, "")


def _sentence(model: type[SpecModel]) -> str:
    return (model.__doc__ or "").partition("\n")[0]


def _fields_table(model: type[SpecModel]) -> str:
    rows = [_row(name, field) for name, field in fields_of(model).items()]
    return "\n".join(["| field | type | default | meaning |", "| --- | --- | --- | --- |", *rows, ""])


def _row(name: str, field: ModelField) -> str:
    cells = (f"`{name}`", _type_words(field.shape), _default_words(field), field.description)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default_words(field: ModelField) -> str:
    if field.required:
        return "**required**"
    if field.default is None:
        return ""
    return "see below" if isinstance(field.default, dict) and field.default else f"`{json.dumps(field.default)}`"


def _type_words(shape: Shape) -> str:
    if shape.choices:
        return " / ".join(f"`{choice}`" if choice else "empty" for choice in shape.choices)
    if shape.item is not None:
        container = "list of " if shape.kind == "list" else "map to "
        return f"{container}{_type_words(shape.item)}{_size_words(shape)}"
    if shape.model is not None:
        return "group"
    words = {"free": "any JSON object", "int-or-string": "quantity", "string": "text"}.get(shape.kind, shape.kind)
    return f"{words}{_range_words(shape)}{_size_words(shape)}"


def _range_words(shape: Shape) -> str:
    low = "" if shape.minimum is None else f" {'>' if shape.above else '>='} {shape.minimum:.16g}"
    high = "" if shape.maximum is None else f" <= {shape.maximum:.16g}"
    return f"{low}{' and' if low and high else ''}{high}"


def _size_words(shape: Shape) -> str:
    if shape.max_size is None or shape.kind == "int-or-string":
        return ""
    unit = {"string": "characters", "list": "items", "map": "entries"}[shape.kind]
    return f", {shape.min_size or 0} to {shape.max_size} {unit}"


def _rules_table() -> str:
    rows = [f"| `{path}` | {rule.message} |" for path, rule in _rules(object_shape(MetaTrainingJob), "")]
    return "\n".join(["| where | rule |", "| --- | --- |", *rows, ""])


def _rules(shape: Shape, path: str) -> Iterator[tuple[str, Rule]]:
    for rule in shape.rules:
        yield ".".join(part for part in (path, rule.field) if part), rule
    if shape.model is not None:
        for name, field in fields_of(shape.model).items():
            yield from _rules(field.shape, f"{path}.{name}".removeprefix("."))
    elif shape.item is not None:
        yield from _rules(shape.item, f"{path}[]")


if __name__ == "__main__":
    sys.stdout.write(page())
