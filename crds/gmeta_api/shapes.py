"""The closed list of value shapes that a structural schema can express, read off the typed models.

The CRD emitter, the reference page, the rule walker and the error messages all go through `fields_of`, so that a field
means the same to each of them. A type outside the list raises when it is looked at, which the drift test does.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import AfterValidator, BeforeValidator, JsonValue
from pydantic.fields import FieldInfo

from gmeta_api.spec.base import IntOrString, ListMap, Rule, SpecModel

Kind = Literal["string", "integer", "number", "boolean", "int-or-string", "list", "map", "object", "free", "any"]

_SCALARS: Mapping[object, Kind] = {str: "string", int: "integer", float: "number", bool: "boolean"}


Location = tuple[int | str, ...]
"""Where a value is in a manifest: names of fields and indices of items."""


@dataclass(frozen=True)
class Shape:
    """What a value may look like.

    Attributes:
        kind: which member of the closed list; `free` is an object with any JSON in it, `any` any JSON value.
        choices: allowed texts of an enumeration.
        minimum: least number, itself excluded where `above` is set.
        above: whether `minimum` itself is excluded.
        maximum: greatest number.
        min_size: fewest characters, items or entries.
        max_size: most characters, items or entries.
        pattern: regular expression of a text.
        item: shape of a list's items or a map's values.
        key: shape of a map's keys.
        list_key: field that identifies the items of a list.
        model: class of an object.
        rules: CEL rules on the value itself.
    """

    kind: Kind
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    above: bool = False
    maximum: float | None = None
    min_size: int | None = None
    max_size: int | None = None
    pattern: str | None = None
    item: "Shape | None" = None
    key: "Shape | None" = None
    list_key: str | None = None
    model: type[SpecModel] | None = None
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class ModelField:
    """A field of a model as files spell it.

    Attributes:
        name: camelCase name.
        description: what the field means, for users.
        required: whether a file has to have it.
        default: JSON value that stands for an absent field; None where absence has a meaning of its own.
        shape: what its value may look like.
    """

    name: str
    description: str
    required: bool
    default: Any
    shape: Shape


@cache
def fields_of(model: type[SpecModel]) -> Mapping[str, ModelField]:
    """The fields of a model by camelCase name, in their order.

    Raises:
        TypeError: a field's type is not in the closed list of shapes.
    """
    fields = (_model_field(model, name, info) for name, info in model.model_fields.items())
    return {item.name: item for item in fields}


@cache
def object_shape(model: type[SpecModel]) -> Shape:
    """The shape of a model's objects."""
    return Shape(kind="object", model=model, rules=model.cel_rules)


def shape_at(root: type[SpecModel], location: Location) -> Shape:
    """The shape at a location; where a model does not know a name, the shape of the object that has it."""
    shape = object_shape(root)
    for part in location:
        if shape.model is not None and part in fields_of(shape.model):
            shape = fields_of(shape.model)[str(part)].shape
        elif shape.item is not None:
            shape = shape.item
    return shape


def children(shape: Shape, value: object) -> Iterator[tuple[Shape, Any, int | str]]:
    """The known values directly inside a value, each with its shape and its name or index."""
    if shape.model is not None and isinstance(value, Mapping):
        for name, field in fields_of(shape.model).items():
            if name in value:
                yield field.shape, value[name], name
    elif shape.kind == "map" and shape.item is not None and isinstance(value, Mapping):
        for key, item in value.items():
            yield shape.item, item, key
    elif shape.kind == "list" and shape.item is not None and isinstance(value, list):
        for index, item in enumerate(value):
            yield shape.item, item, index


def format_path(location: Location) -> str:
    """A field path such as `spec.volumes[1].name`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".") or "manifest"


def _model_field(model: type[SpecModel], name: str, info: FieldInfo) -> ModelField:
    try:
        shape = _with_metadata(_shape_of(info.annotation), info.metadata)
    except TypeError as error:
        raise TypeError(f"{model.__name__}.{name}: {error}") from None
    return ModelField(
        name=info.alias or name,
        description=info.description or "",
        required=info.is_required(),
        default=_default(info),
        shape=shape,
    )


def _default(info: FieldInfo) -> Any:  # noqa: ANN401 - any JSON value
    value = None if info.is_required() else info.get_default(call_default_factory=False)
    if isinstance(value, SpecModel):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return list(value) if isinstance(value, tuple) else value


def _shape_of(annotation: object) -> Shape:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _SCALARS:
        return Shape(kind=_SCALARS[annotation])
    if annotation is JsonValue:
        return Shape(kind="any")
    if isinstance(annotation, type) and issubclass(annotation, SpecModel):
        return object_shape(annotation)
    if origin is Annotated:
        return _with_metadata(_shape_of(arguments[0]), arguments[1:])
    if origin is Literal:
        return Shape(kind="string", choices=arguments)
    return _compound(annotation, origin, arguments)


def _compound(annotation: object, origin: object, arguments: tuple[Any, ...]) -> Shape:
    if origin in (Union, UnionType) and len(arguments) == 2 and NoneType in arguments:
        return _shape_of(next(argument for argument in arguments if argument is not NoneType))
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return Shape(kind="list", item=_shape_of(arguments[0]))
    if origin is dict and arguments[1] is JsonValue:
        return Shape(kind="free")
    if origin is dict and _shape_of(arguments[0]).kind == "string":
        return Shape(kind="map", item=_shape_of(arguments[1]), key=_shape_of(arguments[0]))
    raise TypeError(f"{annotation!r} is not a shape of a structural schema; use one of those in gmeta_api.shapes")


def _with_metadata(shape: Shape, metadata: Iterable[object]) -> Shape:
    for item in metadata:
        shape = _with_one(shape, item)
    return shape


def _with_one(shape: Shape, item: object) -> Shape:
    match item:
        case FieldInfo():
            return _with_metadata(shape, item.metadata)
        case Rule():
            return replace(shape, rules=(*shape.rules, item))
        case ListMap():
            return replace(shape, list_key=item.key, rules=(*shape.rules, _unique(item.key)))
        case IntOrString():
            return replace(shape, kind="int-or-string", minimum=0)
        case BeforeValidator() | AfterValidator():
            return shape
    return replace(shape, **_bound(item))


def _bound(item: object) -> dict[str, Any]:
    match item:
        case Ge():
            return {"minimum": item.ge}
        case Gt():
            return {"minimum": item.gt, "above": True}
        case Le():
            return {"maximum": item.le}
        case MinLen():
            return {"min_size": item.min_length}
        case MaxLen():
            return {"max_size": item.max_length}
    pattern = getattr(item, "pattern", None)
    if pattern is None:
        raise TypeError(f"the constraint {item!r} has no counterpart in a structural schema")
    return {"pattern": pattern}


def _unique(key: str) -> Rule:
    return Rule(
        f"self.all(a, self.exists_one(b, b.{key} == a.{key}))",
        f"two items have the same {key}; every {key} must be unique",
    )
