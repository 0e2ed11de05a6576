"""How one model is laid out over many ranks."""

from typing import Literal

from pydantic import Field

from gmeta_api.spec.base import SpecModel


class ParallelismSpec(SpecModel):
    """How one model is laid out over many ranks."""

    topology: Literal["auto", "flat"] = Field(
        default="auto", description="Exchange between ranks; auto follows the hosts, flat treats all ranks alike."
    )
    dense_sharding: Literal["none"] = Field(
        default="none", description="Sharding of the dense layers; none keeps a copy on every rank."
    )
    exchange_precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="What embedding rows and their gradients travel as between ranks; bfloat16 halves their bytes and "
        "rounds each number once on the way, to 8 significant bits.",
    )
