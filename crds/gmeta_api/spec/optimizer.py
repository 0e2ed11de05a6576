"""The outer optimisers, dense and sparse apart."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gmeta_api.spec.base import Rule, SpecModel
from gmeta_api.spec.scalars import Rate

SparseOptimizerName = Literal["RowWiseAdagrad", "Adam", "SGD"]
DenseOptimizerName = Literal["Adam", "AdamW", "Adagrad", "SGD"]


class ScheduleSpec(SpecModel):
    """How a learning rate changes over the steps of a run."""

    type: Literal["constant", "linear", "cosine"] = Field(
        default="constant", description="Shape of the rate after the warm-up: constant, or down to minRate at the end."
    )
    warmup_steps: Annotated[int, Field(ge=0, le=1_000_000_000)] = Field(
        default=0, description="Steps over which the rate rises linearly from zero."
    )
    min_rate: Annotated[float, Field(ge=0, le=1000)] = Field(
        default=0.0, description="Rate at the last step of a linear or cosine schedule."
    )


_MIN_RATE_RULE = Rule(
    "self.schedule.minRate <= self.rate", "must not be above the optimizer's rate", "schedule.minRate"
)


class DenseOptimizerSpec(SpecModel):
    """Optimiser of the dense layers."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (_MIN_RATE_RULE,)

    type: DenseOptimizerName = Field(default="Adam", description="Update rule of the dense layers.")
    rate: Rate = Field(default=0.001, description="Outer learning rate of the dense layers.")
    weight_decay: Annotated[float, Field(ge=0, le=1000)] = Field(
        default=0.0, description="Weight decay: decoupled for AdamW, added to the gradient otherwise."
    )
    clip_norm: Annotated[float, Field(gt=0, le=1_000_000)] | None = Field(
        default=None, description="Largest global norm of the dense gradient; else it is not clipped."
    )
    schedule: ScheduleSpec = Field(default=ScheduleSpec(), description="How the rate changes over the steps.")


class SparseOptimizerSpec(SpecModel):
    """Optimiser of the embedding rows; it takes one step for every row of a step batch."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (_MIN_RATE_RULE,)

    type: SparseOptimizerName = Field(default="RowWiseAdagrad", description="Update rule of the embedding rows.")
    rate: Rate = Field(default=0.05, description="Outer learning rate of the embedding rows.")
    weight_decay: Annotated[float, Field(ge=0, le=1000)] = Field(
        default=0.0, description="Decoupled weight decay of the rows that a step touches."
    )
    schedule: ScheduleSpec = Field(default=ScheduleSpec(), description="How the rate changes over the steps.")


class OptimizerSpec(SpecModel):
    """The outer optimisers."""

    dense: DenseOptimizerSpec = Field(default=DenseOptimizerSpec(), description="Optimiser of the dense layers.")
    sparse: SparseOptimizerSpec = Field(default=SparseOptimizerSpec(), description="Optimiser of the embedding rows.")
