"""Priors: what the train split says of each value of a column, in a file that a served model can look values up in."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

PRIOR_SCHEMA = pa.schema(
    [("key", pa.int64()), ("rows", pa.int64()), ("positives", pa.int64()), ("value", pa.float64())]
)


@dataclass(frozen=True)
class Prior:
    """The statistics of a rate or count feature over all train tasks, keys ascending.

    Attributes:
        keys: int64[K], the distinct values of the column in the train split.
        rows: int64[K], train rows with the value.
        positives: int64[K], those of them whose label is 1.
        values: float64[K], what the feature is in a row of a task that is not a train task, before ``standardize``;
            0 for any other key.
    """

    keys: NDArray[np.int64]
    rows: NDArray[np.int64]
    positives: NDArray[np.int64]
    values: NDArray[np.float64]


def decode_prior(batch: pa.RecordBatch) -> Prior:
    """Return a prior whose arrays are views of a batch with ``PRIOR_SCHEMA``."""
    return Prior(*(column.to_numpy(zero_copy_only=True) for column in batch.columns))
