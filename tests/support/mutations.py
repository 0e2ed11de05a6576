"""Manifests that hypothesis makes of valid ones; most changes keep to the shape of the value, some do not."""

import re
from typing import Any

from hypothesis import strategies as st
from rule_cases import RuleCase, changed

from gmeta_api.errors import ManifestError
from gmeta_api.load import parse_job
from gmeta_api.shapes import ModelField, Shape, fields_of, object_shape
from gmeta_api.spec import Spec

Manifest = dict[str, Any]

REMOVED = object()
NAMES = ["data", "runs", "movie", "genres", "age", "user_id", "volcano", "a"]
"""Texts that rules compare with each other."""

texts = st.sampled_from(NAMES) | st.text(max_size=6)
scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | texts
documents = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2))


@st.composite
def manifests_around(draw: st.DrawFn, case: RuleCase) -> Manifest:
    """Either side of a rule's case, with up to two values replaced, most of them in the rule's own group."""
    accepted, refused, message = case
    manifest = changed(*draw(st.sampled_from([accepted, refused])))
    if draw(st.booleans()):
        manifest = _with_defaults(manifest)
    for _ in range(draw(st.integers(0, 2))):
        location = draw(st.sampled_from(["spec", *[message.partition(":")[0]] * 3]))
        _mutate(draw, *_container(manifest, location))
    return manifest


def _with_defaults(manifest: Manifest) -> Manifest:
    try:
        return parse_job(manifest).model_dump(mode="json", by_alias=True, exclude_none=True)
    except ManifestError:
        return manifest


def _container(manifest: Manifest, path: str) -> tuple[Shape, Any]:
    """The innermost group or list on the way to a value of the spec."""
    shape, value = object_shape(Spec), manifest["spec"]
    for text in re.findall(r"[^.\[\]]+", path.removeprefix("metadata.name"))[1:]:
        part = int(text) if text.isdecimal() else text
        inside = part in value if isinstance(value, dict) else int(part) < len(value)
        if not inside or not isinstance(value[part], dict | list) or not value[part]:
            break
        shape, value = _inner(shape, part), value[part]
    return shape, value


def _mutate(draw: st.DrawFn, shape: Shape, value: Any) -> None:
    """Replace, add or remove one value somewhere inside of a value."""
    part: Any = draw(st.sampled_from(_parts(shape, value)))
    inner = _inner(shape, part)
    old = value[part] if isinstance(value, list) else value.get(part)
    if isinstance(old, dict | list) and old and inner.kind != "free" and draw(st.booleans()):
        _mutate(draw, inner, old)
    else:
        _put(value, part, draw(_replacements(inner, old)))


def _parts(shape: Shape, value: Any) -> list[Any]:
    """Indices or names of the values that are there, and names of those that could be."""
    if isinstance(value, list):
        return list(range(len(value)))
    return sorted({*value, *(fields_of(shape.model) if shape.model else ())})


def _put(value: Any, part: Any, new: Any) -> None:
    if new is not REMOVED:
        value[part] = new
    elif isinstance(value, list) or part in value:
        del value[part]


def _inner(shape: Shape, part: Any) -> Shape:
    if shape.model is not None and part in fields_of(shape.model):
        return fields_of(shape.model)[part].shape
    return shape.item or Shape(kind="free")


def _replacements(shape: Shape, old: Any) -> st.SearchStrategy[Any]:
    near = [old * 2] if isinstance(old, list) else [old | {"unknown": 1}] if isinstance(old, dict) else []
    odd = st.sampled_from([REMOVED, None, *near]) | scalars | documents | _beyond(shape)
    return st.one_of(fitting(shape), fitting(shape), fitting(shape), odd)


def fitting(shape: Shape) -> st.SearchStrategy[Any]:
    """Values that have the shape; its rules may be broken."""
    match shape:
        case Shape(kind="object", model=model) if model is not None:
            return _objects(list(fields_of(model).values()))
        case Shape(kind="list", item=item) if item is not None:
            return st.lists(fitting(item), min_size=shape.min_size or 0, max_size=3)
        case Shape(kind="map", item=item, key=key) if item is not None and key is not None:
            return st.dictionaries(fitting(key), fitting(item), max_size=3)
        case Shape(kind="free"):
            return st.dictionaries(texts, documents, max_size=2)
        case Shape(kind="boolean"):
            return st.booleans()
        case Shape(kind="integer"):
            return _bounds(shape) | st.integers(int(shape.minimum or 0), int(shape.maximum or 9))
        case Shape(kind="number"):
            return _bounds(shape) | st.floats(0.25, min(shape.maximum or 9, 9)) | st.just(1)
        case Shape(kind="int-or-string"):
            return st.integers(0, 9) | _texts(shape)
    return _texts(shape)


def _objects(fields: list[ModelField]) -> st.SearchStrategy[Any]:
    required = {field.name: fitting(field.shape) for field in fields if field.required}
    return st.fixed_dictionaries(required, optional={f.name: fitting(f.shape) for f in fields if not f.required})


def _bounds(shape: Shape) -> st.SearchStrategy[Any]:
    return st.sampled_from([bound for bound in (shape.minimum, shape.maximum) if bound is not None])


def _texts(shape: Shape) -> st.SearchStrategy[str]:
    if shape.choices:
        return st.sampled_from(shape.choices)
    longest = shape.max_size or 9
    if shape.pattern is None:
        return st.sampled_from(NAMES) | st.text(min_size=shape.min_size or 0, max_size=min(longest, 9))
    made = st.from_regex(shape.pattern, fullmatch=True)
    return made.filter(lambda text: (shape.min_size or 0) <= len(text) <= longest)


def _beyond(shape: Shape) -> st.SearchStrategy[Any]:
    """Values just outside of the shape's bounds."""
    bounds = [bound + step for bound in (shape.minimum, shape.maximum) if bound is not None for step in (-1, 1)]
    sizes = [size for size in (shape.min_size, shape.max_size) if size is not None and size <= 1024]
    long = ["é" * (size + step) for size in sizes for step in (-1, 0, 1)]
    return st.sampled_from([*bounds, *long, "", "a\n", " a", [], {}, {"": 1}, {"a b": "1"}])
