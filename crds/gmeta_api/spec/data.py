"""The dataset and how training reads it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gmeta_api.spec.base import Rule, SpecModel
from gmeta_api.spec.prepare import PrepareSpec
from gmeta_api.spec.scalars import DnsLabel, RelativePath

SupportSize = Annotated[int, Field(ge=0, le=65536)]


class SupportSpec(SpecModel):
    """Which of a task's rows are its support set; the others are its query set."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule("self.policy != 'fixed' || has(self.size)", "policy fixed needs a size", "size"),
        Rule(
            "self.policy == 'fixed' || !has(self.size)",
            "only policy fixed has a size; remove it or change policy",
            "size",
        ),
        Rule(
            "self.policy != 'uniform' || (has(self.min) && has(self.max))",
            "policy uniform needs min and max",
        ),
        Rule(
            "self.policy == 'uniform' || (!has(self.min) && !has(self.max))",
            "only policy uniform has min and max; remove them or change policy",
        ),
        Rule("!has(self.min) || !has(self.max) || self.min <= self.max", "must not be above max", "min"),
    )

    policy: Literal["fixed", "uniform", "column"] = Field(
        description="fixed: the same size for every task; uniform: drawn between min and max, anew for every task "
        "and epoch; column: every row that the support order ranks."
    )
    rows: Literal["first", "any"] = Field(
        default="first",
        description="first: the first rows of the support order, as in evaluation; any: drawn anew in every epoch, for "
        "an order that means nothing.",
    )
    size: SupportSize | None = Field(default=None, description="Support rows of a task; with policy fixed only.")
    min: SupportSize | None = Field(default=None, description="Fewest support rows; with policy uniform only.")
    max: SupportSize | None = Field(default=None, description="Most support rows; with policy uniform only.")


class DataSpec(SpecModel):
    """The dataset and how training reads it."""

    volume: DnsLabel = Field(description="Volume that holds the dataset and, with prepare, its source.")
    path: RelativePath = Field(description="Folder of the Meta-IO dataset, relative to the volume.")
    support: SupportSpec = Field(
        default=SupportSpec(policy="uniform", min=1, max=30),
        description="How training cuts a task's rows into support and query set.",
    )
    max_task_rows: Annotated[int, Field(ge=2, le=1_000_000)] | None = Field(
        default=None, description="A task with more rows becomes several task batches in training; else it never does."
    )
    prefetch: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=4, description="Step batches that are read ahead of training."
    )
    prepare: PrepareSpec | None = Field(
        default=None, description="How the dataset is made from a source before training, where it is not there yet."
    )
