"""The small DLRM that several benchmarks train: 26 tables, 13 numeric columns, and step batches of random samples."""

import numpy as np
import torch
from numpy.typing import NDArray

from gmeta_api.spec import Spec
from gmeta_worker.metaio import Feature, Schema, StepBatch
from gmeta_worker.parallel import Group
from gmeta_worker.training.components import Components, build_components

TABLES, NUMERIC, TASK_ROWS = 26, 13, 16
RATE = 0.01
CPU = torch.device("cpu")
NAMES = tuple(f"C{number}" for number in range(TABLES))
SCHEMA = Schema(
    categorical=tuple(Feature(name, name) for name in NAMES),
    multi=(),
    numeric=tuple(f"I{number}" for number in range(NUMERIC)),
    labels=("click",),
)


def job(algorithm: str, dim: int, rows: int, rate: float = RATE) -> Spec:
    """Bottom 256, top 256-128, row-wise Adagrad for the rows and Adagrad for the dense weights."""
    return Spec.model_validate(
        {
            "volumes": [{"name": "data", "emptyDir": {}}],
            "data": {"volume": "data", "path": "set"},
            "checkpoint": {"volume": "data", "path": "run"},
            "model": {
                "embeddingDim": dim,
                "bottom": [256],
                "top": [256, 128],
                "vocabulary": {"type": "hash", "rows": rows},
            },
            "meta": {"algorithm": algorithm, "inner": {"steps": 1, "rate": 0.1}},
            "optimizer": {
                "dense": {"type": "Adagrad", "rate": rate},
                "sparse": {"type": "RowWiseAdagrad", "rate": rate},
            },
        }
    )


def build(spec: Spec, group: Group, device: torch.device = CPU) -> Components:
    """One rank's parts."""
    keys = {name: np.zeros(0, dtype=np.int64) for name in NAMES}
    return build_components(spec, SCHEMA, keys, device, group)


def make_batch(
    samples: int, keys: int, seed: int, *, support: int = 0, task_rows: int = TASK_ROWS, zipf: float = 0.0
) -> StepBatch:
    """Random samples.

    Args:
        samples: of all tasks together.
        keys: of each table.
        seed: of the draws.
        support: samples of a task that are its support, the first ones.
        task_rows: samples of a task.
        zipf: keys have a popularity of rank ** -zipf; not 1.
    """
    draw = np.random.default_rng(seed)
    tasks = samples // task_rows
    return StepBatch(
        epoch=0,
        step=0,
        positions=(0, tasks),
        task_keys=np.arange(tasks),
        offsets=np.arange(tasks + 1) * task_rows,
        support=np.full(tasks, support),
        keys=_keys(draw.random((samples, TABLES)), keys, zipf),
        multi=(),
        numeric=draw.random((samples, NUMERIC), dtype=np.float32),
        labels=(draw.random((samples, 1)) < 0.25).astype(np.float32),
        row_ids=range(samples),
    )


def _keys(uniform: NDArray[np.float64], keys: int, zipf: float) -> NDArray[np.int64]:
    """The inverse of the distribution with density x ** -zipf over [1, keys + 1), rounded down, from 0."""
    power = 1 - zipf
    found: NDArray[np.int64] = ((((keys + 1) ** power - 1) * uniform + 1) ** (1 / power)).astype(np.int64)
    return found - 1
