"""Where and how often progress is committed."""

from typing import Annotated

from pydantic import Field

from gmeta_api.spec.base import IMMUTABLE, SpecModel
from gmeta_api.spec.scalars import DnsLabel, RelativePath, StepCount


class CheckpointSpec(SpecModel):
    """Where and how often progress is committed."""

    volume: Annotated[DnsLabel, IMMUTABLE] = Field(description="Volume that holds the run's folder.")
    path: Annotated[RelativePath, IMMUTABLE] = Field(
        description="The run's folder, relative to the volume: commits, events and the report."
    )
    every_steps: StepCount = Field(default=500, description="Steps between commits.")
    keep: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=3, description="Newest commits that are kept, beside the best one."
    )
