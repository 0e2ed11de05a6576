"""Learning rate as a pure function of the step."""

import math

from gmeta_api.spec import ScheduleSpec


def learning_rate(base: float, schedule: ScheduleSpec, step: int, total_steps: int) -> float:
    """Rate of optimiser step `step` (from 0) of `total_steps`.

    Linear warm-up over `warmupSteps`, then constant, or a linear or cosine descent to `minRate` at the last step.
    """
    if step < schedule.warmup_steps:
        return base * (step + 1) / schedule.warmup_steps
    if schedule.type == "constant":
        return base
    span = max(total_steps - 1 - schedule.warmup_steps, 1)
    done = min((step - schedule.warmup_steps) / span, 1.0)
    left = 1.0 - done if schedule.type == "linear" else (1.0 + math.cos(math.pi * done)) / 2.0
    return schedule.min_rate + (base - schedule.min_rate) * left
