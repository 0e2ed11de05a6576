"""One training step: the update is the mean gradient's, taken once; a loss that is not a number changes nothing."""

from typing import Literal

import numpy as np
import pytest
import torch

from gmeta_api.errors import DivergedError
from gmeta_api.spec import Spec
from gmeta_worker.meta import forward_type
from gmeta_worker.metaio import Feature, Ragged, Schema, StepBatch
from gmeta_worker.training.components import Components, build_components
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.part import Consumed, OwnPart
from gmeta_worker.training.phase_plan import PhasePlan
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.step import TrainingStep

Precision = Literal["float32", "bfloat16"]
SCHEMA = Schema(
    categorical=(Feature("movie", "movie"),), multi=(Feature("genres", "genres"),), numeric=("age",), labels=("click",)
)
KEYS = {"movie": np.arange(10), "genres": np.arange(4)}
SPEC = Spec.model_validate(
    {
        "volumes": [{"name": "data", "emptyDir": {}}],
        "data": {"volume": "data", "path": "set"},
        "checkpoint": {"volume": "data", "path": "run"},
        "model": {"embeddingDim": 3, "bottom": [4], "top": [5]},
        "optimizer": {"dense": {"type": "SGD", "rate": 0.5}, "sparse": {"type": "SGD", "rate": 0.25}},
    }
)


def batch() -> StepBatch:
    draw = np.random.default_rng(0)
    rows = 12
    return StepBatch(
        epoch=0, step=0, positions=(0, 3), task_keys=np.arange(3),
        offsets=np.array([0, 3, 8, 12]), support=np.array([1, 0, 2]),
        keys=draw.integers(0, 10, (rows, 1)),
        multi=(Ragged(np.arange(rows + 1), draw.integers(0, 4, rows)),),
        numeric=draw.normal(size=(rows, 1)).astype(np.float32),
        labels=draw.integers(0, 2, (rows, 1)).astype(np.float32),
        row_ids=range(rows),
    )  # fmt: skip


def make_step(precision: Precision = "float32") -> tuple[Components, TrainingStep]:
    spec = SPEC.model_copy(update={"training": SPEC.training.model_copy(update={"precision": precision})})
    parts = build_components(spec, SCHEMA, KEYS, torch.device("cpu"))
    dense = DenseOptimizer(SPEC.optimizer.dense, parts.model)
    part = OwnPart.even(parts.group)
    return parts, TrainingStep(
        parts, dense, SPEC.optimizer, PhasePlan(SPEC.algorithms, (0,), 10), part, lambda: False, PhaseClock()
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_takes_the_mean_gradient_once(precision: Precision) -> None:
    parts, step = make_step(precision)
    inputs = parts.assembler(batch())
    rows = parts.store.lookup(inputs.ids)
    before = {name: p.detach().clone() for name, p in parts.model.named_parameters()}
    with forward_type(torch.bfloat16 if precision == "bfloat16" else None):
        gradients = parts.algorithm.gradients(parts.model, rows, inputs.samples)
    result = step(batch(), 0)
    assert result.whole == result.own == Consumed(tasks=3, support=3, query=9)
    assert result.whole.samples == 12
    assert result.loss == pytest.approx(float(gradients.loss) / 3)
    for name, parameter in parts.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name] - 0.5 * gradients.dense[name] / 3)
    torch.testing.assert_close(parts.store.lookup(inputs.ids), rows - 0.25 * gradients.rows / 3)


def test_only_training_computes_in_bfloat16() -> None:
    parts, step = make_step("bfloat16")
    inside: list[bool] = []
    layer = next(each for each in parts.model.modules() if isinstance(each, torch.nn.Linear))
    layer.register_forward_pre_hook(lambda *_: inside.append(torch.is_autocast_enabled("cpu")))
    step(batch(), 0)
    assert set(inside) == {True}
    inside.clear()
    inputs = parts.assembler(batch())
    parts.algorithm.scores(parts.model, parts.store.lookup(inputs.ids), inputs.samples, adapted=True)
    assert set(inside) == {False}


def test_a_loss_that_is_not_a_number_changes_nothing_and_says_what_to_do() -> None:
    parts, step = make_step()
    with torch.no_grad():
        next(iter(parts.model.parameters())).fill_(torch.nan)
    rows = parts.store.export_blocks(0, 4096)["weights"]
    with pytest.raises(DivergedError) as diverged:
        step(batch(), 7)
    assert str(diverged.value) == (
        "step 7: the loss is nan; the last commit is intact. Lower spec.meta.inner.rate or spec.optimizer.*.rate, "
        "set spec.optimizer.dense.clipNorm, or look for extreme values in the data with `gmeta inspect`"
    )
    assert torch.equal(parts.store.export_blocks(0, 4096)["weights"], rows)
