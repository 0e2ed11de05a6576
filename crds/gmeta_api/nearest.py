"""Words for a name that is not known: the nearest known one, or where the name belongs."""

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from functools import cache

from gmeta_api.shapes import Shape, fields_of
from gmeta_api.spec.base import SpecModel


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that is most like a name, upper and lower case alike; None if none is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[matches[0]] if matches else None


def unknown_field(name: str, model: type[SpecModel], root: type[SpecModel]) -> str:
    """The message for a field that a model does not have.

    Args:
        name: the field as the file spells it.
        model: model of the object that the field is in.
        root: model of the whole file, where the field may be known elsewhere.
    """
    known = fields_of(model)
    similar = nearest(name, known)
    if similar is not None:
        return f"unknown field; did you mean {similar!r}?"
    elsewhere = _places(root).get(name, ())
    if elsewhere:
        return f"unknown field; {name!r} belongs to {' or '.join(elsewhere)}"
    return f"unknown field; known here: {', '.join(sorted(known))}"


@cache
def _places(root: type[SpecModel]) -> dict[str, tuple[str, ...]]:
    places: dict[str, tuple[str, ...]] = {}
    for name, group in _walk(root, ""):
        places[name] = (*places.get(name, ()), group)
    return places


def _walk(model: type[SpecModel], path: str) -> Iterator[tuple[str, str]]:
    for name, field in fields_of(model).items():
        if path:
            yield name, path
        inner, suffix = _element(field.shape)
        if inner.model is not None:
            yield from _walk(inner.model, f"{path}.{name}{suffix}".removeprefix("."))


def _element(shape: Shape) -> tuple[Shape, str]:
    return (shape.item, "[]") if shape.kind == "list" and shape.item is not None else (shape, "")
