"""Base class of everything that is written to disk or sent over the wire as JSON."""

import math
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Record(BaseModel):
    """An immutable typed record; unknown fields are errors, numbers that are not finite are null in the JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


Measure = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""A measured number: not-a-number where it is undefined (the AUC of one class), null in the JSON."""
