"""Which path `gmeta plan` shows for each layer, and why."""

import numpy as np
from torch import nn

from gmeta_api.spec import AdaptSpec
from gmeta_worker.cli.layers import layer_rows, passes_of
from gmeta_worker.layers import AdaptiveLayerNorm, AdaptiveLinear, Passes
from gmeta_worker.meta.targets import find_targets
from gmeta_worker.metaio import StepBatch

PASSES = Passes(steps=3, support=np.array([30, 10]), query=np.array([20, 40]))


class Mixed(nn.Module):
    def __init__(self, plain: bool) -> None:
        super().__init__()
        self.low = AdaptiveLinear(512, 512)
        self.norm = AdaptiveLayerNorm(512)
        self.last = nn.Linear(512, 1) if plain else AdaptiveLinear(512, 1)


def rows(model: nn.Module, *dense: str) -> list[tuple[str, ...]]:
    return list(layer_rows(model, find_targets(AdaptSpec(dense=dense), model, []), PASSES))


def test_each_adaptive_layer_goes_its_own_way() -> None:
    # 3 steps on 30 and 10 rows, then 20 and 40 query rows: 3 (20 30 + 40 10) + 3 (30 30 + 10 10) rows meet.
    met, support = 3000 + 3000, 3 * 40
    low, last = (
        f"{met * (512 + out):,} multiplications; own weights {own:,}"
        for out, own in ((512, support * 512 * 512), (1, support * 512))
    )
    assert rows(Mixed(plain=False), "*") == [
        ("low", "low rank", low),
        ("norm", "own weights", "a task's own vectors are small"),
        ("last", "own weights", last),
    ]


def test_a_plain_layer_that_adapts_makes_all_go_task_by_task() -> None:
    assert rows(Mixed(plain=True), "low", "last") == [
        ("low", "task by task", "as last is: they share their passes"),
        ("norm", "none", "it does not adapt"),
        ("last", "task by task", "it is no adaptive layer with weights of its own"),
    ]


def test_the_passes_are_those_of_the_step_batch() -> None:
    batch = StepBatch(
        epoch=0,
        step=0,
        positions=(0, 2),
        task_keys=np.arange(2),
        offsets=np.array([0, 5, 12]),
        support=np.array([2, 3]),
        keys=np.zeros((12, 0), dtype=np.int64),
        multi=(),
        numeric=np.zeros((12, 0), dtype=np.float32),
        labels=np.zeros((12, 1), dtype=np.float32),
        row_ids=range(12),
    )
    passes = passes_of(batch, 2)
    assert (passes.steps, passes.support.tolist(), passes.query.tolist()) == (2, [2, 3], [3, 4])
