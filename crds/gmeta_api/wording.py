"""Type, bound and enumeration errors in this project's own words: what was expected, what was received."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from gmeta_api.nearest import nearest, unknown_field
from gmeta_api.shapes import Location, Shape, shape_at
from gmeta_api.spec.base import SpecModel
from gmeta_api.spec.patterns import WORDS
from gmeta_api.yaml_loader import describe


def shape_problem(root: type[SpecModel], error: ErrorDetails, location: Location) -> str:
    """The message for one error of pydantic.

    Args:
        root: model that was validated.
        error: the error, as `ValidationError.errors()` lists it.
        location: where the error is, below the validated object.
    """
    if error["type"] == "missing":
        return "required field is missing"
    if error["type"] == "extra_forbidden":
        model = shape_at(root, location[:-1]).model
        assert model is not None, "only objects forbid fields"
        return unknown_field(str(location[-1]), model, root)
    shape = shape_at(root, location)
    return f"expected {_expected(error, shape)}, received {describe(error['input'])}{_hint(error, shape)}"


def null_problem(shape: Shape) -> str:
    """The message for a null; the API server stores none where a schema has a type."""
    return f"expected {_KIND_WORDS[shape.kind]}, received null; remove the field or give it a value"


_KIND_WORDS: Mapping[str, str] = {
    "string": "a text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "int-or-string": "a whole number or a text",
    "list": "a list",
    "map": "a mapping",
    "object": "a mapping",
    "free": "a mapping",
    "any": "a value",
}


def _expected(error: ErrorDetails, shape: Shape) -> str:
    words = _EXPECTED.get(error["type"])
    return _KIND_WORDS[shape.kind] if words is None else words(error.get("ctx", {}), shape)


def _hint(error: ErrorDetails, shape: Shape) -> str:
    received = error["input"]
    if error["type"] == "literal_error" and isinstance(received, str):
        similar = nearest(received, shape.choices)
        return "" if similar is None or len(shape.choices) == 1 else f"; did you mean {similar!r}?"
    if error["type"] == "string_type" and isinstance(received, bool | int | float):
        return "; put it in quotes"
    return ""


def _choice(_: Mapping[str, Any], shape: Shape) -> str:
    choices = ", ".join(repr(choice) for choice in shape.choices)
    return choices if len(shape.choices) == 1 else f"one of {choices}"


def _size(words: str, bound: str, unit: str) -> Callable[[Mapping[str, Any], Shape], str]:
    return lambda context, _: f"{words} {context[bound]} {unit}{'' if context[bound] == 1 else 's'}"


_EXPECTED: Mapping[str, Callable[[Mapping[str, Any], Shape], str]] = {
    "literal_error": _choice,
    "greater_than": lambda context, _: f"a number above {context['gt']:g}",
    "greater_than_equal": lambda context, _: f"at least {context['ge']:g}",
    "less_than_equal": lambda context, _: f"at most {context['le']:g}",
    "finite_number": lambda _, __: "a finite number",
    "string_pattern_mismatch": lambda context, _: WORDS[context["pattern"]],
    "string_too_short": _size("at least", "min_length", "character"),
    "string_too_long": _size("at most", "max_length", "character"),
    "too_short": _size("at least", "min_length", "item"),
    "too_long": _size("at most", "max_length", "item"),
}
