"""The parts of a pod that a manifest may set, in Kubernetes' own words."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from gmeta_api.spec import patterns
from gmeta_api.spec.base import IntOrString, Rule, SpecModel
from gmeta_api.spec.scalars import DnsSubdomain

LabelKey = Annotated[str, Field(min_length=1, max_length=317, pattern=patterns.LABEL_KEY)]
LabelValue = Annotated[str, Field(max_length=63, pattern=patterns.LABEL_VALUE)]


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Quantity = Annotated[
    str, Field(max_length=32, pattern=patterns.QUANTITY), BeforeValidator(_number_as_text), IntOrString()
]
"""A Kubernetes quantity: a whole number, or a text such as 500m or 16Gi."""

ResourceList = Annotated[dict[LabelKey, Quantity], Field(max_length=32)]


class ResourcesSpec(SpecModel):
    """Compute resources of a container."""

    requests: ResourceList = Field(default={}, description="Least resources, by name, such as cpu or nvidia.com/gpu.")
    limits: ResourceList = Field(default={}, description="Most resources, by name, such as memory.")


class EnvVar(SpecModel):
    """An environment variable."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!self.name.startsWith('GMETA_')",
            "variables that start with GMETA_ are set by G-Meta; choose another name",
            "name",
        ),
    )

    name: Annotated[str, Field(min_length=1, max_length=256, pattern=patterns.IDENTIFIER)] = Field(
        description="Name of the variable."
    )
    value: Annotated[str, Field(max_length=32768)] = Field(default="", description="Value of the variable.")


class LocalObjectReference(SpecModel):
    """An object of the job's namespace."""

    name: DnsSubdomain = Field(description="Name of the object in the job's namespace.")


class Toleration(SpecModel):
    """A node taint that the pods tolerate."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.operator != 'Exists' || !has(self.value)",
            "operator Exists takes no value; remove it or set operator to Equal",
            "value",
        ),
        Rule("has(self.key) || self.operator == 'Exists'", "a toleration without a key needs operator Exists", "key"),
        Rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerationSeconds needs effect NoExecute",
            "tolerationSeconds",
        ),
    )

    key: LabelKey | None = Field(default=None, description="Key of the taint; without one every taint matches.")
    operator: Literal["Equal", "Exists"] = Field(default="Equal", description="How key and value are compared.")
    value: LabelValue | None = Field(default=None, description="Value of the taint; with operator Equal only.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; without one every effect matches."
    )
    toleration_seconds: Annotated[int, Field(ge=0, le=31_536_000)] | None = Field(
        default=None, description="Seconds that a pod stays under a NoExecute taint; else for ever."
    )
