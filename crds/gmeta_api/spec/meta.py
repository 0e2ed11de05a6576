"""The meta-learning algorithm: the loops and what adapts."""

from typing import Annotated, Literal

from pydantic import Field

from gmeta_api.spec.base import SpecModel
from gmeta_api.spec.scalars import Rate

AlgorithmName = Literal["MAML", "FOMAML", "Joint"]
Pattern = Annotated[str, Field(min_length=1, max_length=128)]


class InnerSpec(SpecModel):
    """The inner loop: plain gradient steps on a task's support set."""

    steps: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="Gradient steps on the support set.")
    rate: Rate = Field(default=0.1, description="Learning rate of the inner steps.")


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

    algorithm: AlgorithmName = Field(
        default="MAML",
        description="MAML: second-order gradients; FOMAML: first-order; Joint: ordinary training of the same model.",
    )
    inner: InnerSpec = Field(default=InnerSpec(), description="The inner loop in training.")
    eval_inner: InnerSpec | None = Field(
        default=None, description="The inner loop in evaluation; else the one of training."
    )
    adapt: AdaptSpec = Field(default=AdaptSpec(), description="What the inner loop adapts.")
