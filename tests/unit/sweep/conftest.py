"""A small sweep, and trials whose value is a formula."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from rule_cases import SMALL_MANIFEST

from gmeta_worker.sweep.manifest import Params, Sweep, load_sweep
from gmeta_worker.sweep.trial import Outcome, Prune

SWEEP: Mapping[str, Any] = {
    "job": "job.yaml",
    "trials": 8,
    "startupTrials": 3,
    "space": [
        {"path": "spec.meta.inner.rate", "type": "float", "low": 0.01, "high": 1, "log": True},
        {"path": "spec.meta.inner.steps", "type": "int", "low": 1, "high": 5},
        {"path": "spec.model.top", "type": "categorical", "choices": [[8], [4, 4]]},
    ],
}

MakeSweep = Callable[..., Sweep]


@pytest.fixture
def sweep(tmp_path: Path) -> MakeSweep:
    """Loads the sweep with some fields changed; `job` changes the job's spec."""

    def make(job: Mapping[str, Any] | None = None, **changes: Any) -> Sweep:
        manifest = deepcopy(SMALL_MANIFEST)
        manifest["spec"].update(job or {})
        (tmp_path / "job.yaml").write_text(yaml.safe_dump(manifest))
        (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({**SWEEP, **changes}))
        return load_sweep(tmp_path / "sweep.yaml")

    return make


class Formula:
    """Trials that need no run: two evaluations, of which the second is the value; keeps what it was asked."""

    def __init__(self, after: int = 1000, end: type[BaseException] = KeyboardInterrupt) -> None:
        self.asked: list[Params] = []
        self._after, self._end = after, end

    def __call__(self, number: int, params: Params, prune: Prune) -> Outcome:
        self.asked.append(params)
        if len(self.asked) > self._after:
            raise self._end
        value = self.value(params)
        for part in (0.5, 1.0):
            if prune(part * value):
                return Outcome("pruned")
        return Outcome("complete", value)

    @staticmethod
    def value(params: Params) -> float:
        rate, steps = float(str(params["spec.meta.inner.rate"])), int(str(params["spec.meta.inner.steps"]))
        return 1 - abs(rate - 0.1) + steps / 100 + (params["spec.model.top"] == [4, 4])


@pytest.fixture
def formula() -> type[Formula]:
    return Formula
