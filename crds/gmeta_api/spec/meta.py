"""The meta-learning algorithm: the loops and what adapts."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from gmeta_api.spec import patterns
from gmeta_api.spec.base import SpecModel
from gmeta_api.spec.scalars import Rate

AlgorithmType = Annotated[str, Field(max_length=256, pattern=patterns.ALGORITHM_TYPE)]
Pattern = Annotated[str, Field(min_length=1, max_length=128)]


class InnerSpec(SpecModel):
    """The inner loop: plain gradient steps on the sum of a task's support losses over (support rows + shrinkage)."""

    steps: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="Gradient steps on the support set.")
    rate: Rate = Field(default=0.1, description="Learning rate of the inner steps.")
    shrinkage: Annotated[float, Field(ge=0, le=1_000_000)] = Field(
        default=0.0,
        description="Rows added to the number a task's summed support loss is divided by, so that few rows move the "
        "model less; 0 gives the mean loss of MAML.",
    )
    learned: bool = Field(
        default=False,
        description="Whether training learns rate and shrinkage, apart for every layer and vocabulary that adapts; "
        "the ones given here are where it starts.",
    )


class AdaptSpec(SpecModel):
    """What the inner loop adapts; everything else is shared by all tasks."""

    dense: Annotated[tuple[Pattern, ...], Field(max_length=64)] = Field(
        default=("*",), description="Glob patterns over the names of the model's layers, such as top.*."
    )
    rows: Annotated[tuple[Pattern, ...], Field(max_length=64)] = Field(
        default=(), description="Glob patterns over the names of the vocabularies whose embedding rows adapt."
    )


class MetaSpec(SpecModel):
    """The meta-learning algorithm."""

    algorithm: AlgorithmType = Field(
        default="MAML",
        description="MAML, first order FOMAML, ANIL (the model's head adapts), CAVIA (its context), LiMAML (its meta "
        "block), MetaSGD (learned rates), Reptile, Joint (ordinary training of the same model), or a class of your "
        "own as package.module:Class.",
    )
    args: dict[str, JsonValue] = Field(
        default={}, description="Keyword arguments of an algorithm of your own, as any JSON."
    )
    inner: InnerSpec = Field(default=InnerSpec(), description="The inner loop in training.")
    eval_inner: InnerSpec | None = Field(
        default=None, description="The inner loop in evaluation; else the one of training."
    )
    outer_loss: Literal["tasks", "samples"] = Field(
        default="tasks",
        description="Mean that the outer loss is. tasks: over tasks of each task's mean query loss, as in G-Meta; "
        "samples: over all query samples, so that a task counts by its rows.",
    )
    adapt: AdaptSpec | None = Field(
        default=None, description="What the inner loop adapts; else what the algorithm says: of most, every layer."
    )
