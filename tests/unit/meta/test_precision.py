"""Forward passes in bfloat16: near float32, with every weight, gradient and loss in float32; float32 is left alone."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.unit.meta.test_any_model import SIZES, AdaptiveFields, PlainFields
from torch import Tensor, nn

from gmeta_api.spec import MetaSpec
from gmeta_worker.meta import Algorithm, Samples, StepGradients, TaskSamples, build_algorithm, forward_type

ALGORITHMS = ("MAML", "FOMAML", "MetaSGD", "Reptile", "Joint")
MODELS = ("DLRM", "packed", "task by task")


def as_float32(samples: TaskSamples) -> TaskSamples:
    def single(part: Samples) -> Samples:
        return replace(part, numeric=part.numeric.float(), labels=part.labels.float())

    return replace(samples, support=single(samples.support), query=single(samples.query))


class Step:
    """A model with its algorithm and samples; keeps which type each forward pass computed in."""

    def __init__(self, tools: Any, model: str, algorithm: str) -> None:
        problem = tools.make_problem(SIZES)
        torch.manual_seed(3)
        built = {"DLRM": tools.small_dlrm, "packed": AdaptiveFields, "task by task": PlainFields}[model](problem.inputs)
        self.model: nn.Module = built.float()
        self.samples, self.rows = as_float32(problem.packed()), problem.rows.float()
        meta = MetaSpec(algorithm=algorithm, inner={"steps": 2, "rate": 0.1}, adapt={"dense": ["*"], "rows": ["*"]})
        self.algorithm: Algorithm = build_algorithm(meta, self.model, problem.inputs.features)
        self.types: set[torch.dtype] = set()
        first = next(each for each in self.model.modules() if isinstance(each, nn.Linear))
        first.register_forward_pre_hook(lambda *_: self._look())

    def _look(self) -> None:
        inside = torch.is_autocast_enabled("cpu")
        self.types.add(torch.get_autocast_dtype("cpu") if inside else torch.float32)

    def gradients(self) -> StepGradients:
        return self.algorithm.gradients(self.model, self.rows, self.samples)


def flat(gradients: StepGradients) -> Tensor:
    return torch.cat([each.flatten() for each in (*gradients.dense.values(), gradients.rows)])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_bfloat16_gradients_are_near_those_of_float32(tools: Any, model: str, algorithm: str) -> None:
    step = Step(tools, model, algorithm)
    exact = step.gradients()
    assert step.types == {torch.float32}
    step.types.clear()
    with forward_type(torch.bfloat16):
        rounded = step.gradients()
    assert step.types == {torch.bfloat16}, "inner and outer passes alike"
    assert {rounded.loss.dtype, flat(rounded).dtype} == {torch.float32}
    assert {each.dtype for each in step.model.parameters()} == {torch.float32}
    torch.testing.assert_close(rounded.loss, exact.loss, rtol=0.01, atol=0.0)
    distance = (flat(rounded) - flat(exact)).norm() / flat(exact).norm()
    print(distance)
    assert 0 < distance < 0.03


def test_float32_enters_no_autocast_at_all(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Step(tools, "DLRM", "MAML")
    before = flat(step.gradients())

    def refused(*_: object) -> None:
        raise AssertionError("autocast was entered")

    monkeypatch.setattr(torch, "autocast", refused)
    with forward_type(None):
        torch.testing.assert_close(flat(step.gradients()), before, rtol=0.0, atol=0.0)
    with forward_type(torch.bfloat16), pytest.raises(AssertionError, match="autocast was entered"):
        step.gradients()
