"""When to stop: no improvement on the valid tasks for `patience` evaluations."""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gmeta_api.spec import EarlyStopSpec

Metric = Literal["auc", "gauc", "loss"]


class Progress(BaseModel):
    """What early stopping remembers: the best value so far and how many evaluations have passed since."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    best: float | None = None
    since_best: int = 0


def observe(progress: Progress, metric: Metric, value: float, min_delta: float) -> tuple[Progress, bool]:
    """Progress after an evaluation of `value`, and whether it is a new best: by more than `min_delta`; NaN never is."""
    sign = -1.0 if metric == "loss" else 1.0
    better = progress.best is None or sign * (value - progress.best) > min_delta
    if better and not math.isnan(value):
        return Progress(best=value, since_best=0), True
    return Progress(best=progress.best, since_best=progress.since_best + 1), False


def should_stop(progress: Progress, spec: EarlyStopSpec | None) -> bool:
    """Whether the patience of `spec` is spent (never without a spec)."""
    return spec is not None and progress.since_best >= spec.patience
