"""What every part of the manifest's model is made of: the base class, cross-field rules and list markers."""

from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


@dataclass(frozen=True)
class Rule:
    """A rule over several values, as one CEL expression for the API server, the operator and the command line.

    A rule sits on a model (`cel_rules`) or, in `Annotated[...]`, on a single value. A rule that names `oldSelf` is a
    transition rule: it holds between two versions of an object and is not evaluated where there is only one.

    Attributes:
        cel: expression over `self` that is true for a valid value.
        message: what was expected and what to do, as a sentence without a field path.
        field: camelCase path below the model that the problem is shown at; empty for the model itself.
    """

    cel: str
    message: str
    field: str = ""

    @property
    def transition(self) -> bool:
        """Whether the rule compares an object with its former version."""
        return "oldSelf" in self.cel


@dataclass(frozen=True)
class ListMap:
    """Marks a list whose items are identified by one field; server-side apply merges such lists by it."""

    key: str


IMMUTABLE = Rule("self == oldSelf", "must not change once the job exists; make a new job instead")
"""For values that commits and data order depend on."""


class IntOrString:
    """Marks a text that may also be written as a whole number of at least 0."""


class SpecModel(BaseModel):
    """Base of the manifest's models: immutable, camelCase in files, unknown fields refused.

    Building one in Python checks types and bounds; `gmeta_api.load` also evaluates the cross-field `cel_rules`.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = ()
