"""Low-rank steps, own weights and the reference loop: the same gradients to 1e-10, in float64, at inner rate 1."""

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from gmeta_api.spec import MetaSpec
from gmeta_worker.layers import AdaptiveLayerNorm, AdaptiveLinear, Path, adaptive
from gmeta_worker.meta import StepGradients, build_algorithm
from gmeta_worker.models import FeatureRows, Features, ModelInputs

SIZES = [(5, 3), (0, 2), (1, 1), (7, 4), (2, 1)]
RATE = 1.0
PATHS: tuple[Path, ...] = ("low rank", "own weights")
BOTH = {"dense": ["*"], "rows": ["*"]}


def difference(got: StepGradients, expected: Any) -> float:
    pairs = [(got.loss, expected.loss), (got.rows, expected.rows)]
    pairs += [(got.dense[name], gradient) for name, gradient in expected.dense.items()]
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-3)) for a, b in pairs)


def gradients(tools: Any, problem: Any, path: Path, *, order: str, steps: int, adapt: Any) -> StepGradients:
    model = tools.small_dlrm(problem.inputs)
    meta = MetaSpec.model_validate({"algorithm": order, "inner": {"steps": steps, "rate": RATE}, "adapt": adapt})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adaptive, "cheaper_path", lambda *_: path)
        return build_algorithm(meta, model, problem.inputs.features).gradients(model, problem.rows, problem.packed())


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("order", ["MAML", "FOMAML"])
@pytest.mark.parametrize("rows", [["*"], []], ids=["with rows", "dense"])
@pytest.mark.parametrize("sizes", [SIZES, [(4, 3)] * 3], ids=["ragged", "even"])
def test_both_paths_give_the_gradients_of_the_loop(
    tools: Any, order: str, steps: int, rows: list[str], sizes: list[tuple[int, int]]
) -> None:
    problem = tools.make_problem(sizes)  # three rows a table, so most query rows are support rows too
    weights = dict(tools.small_dlrm(problem.inputs).named_parameters())
    reference = tools.reference(
        tools.dlrm_forward,
        list(weights),
        range(len(problem.inputs.features)) if rows else (),
        steps=steps,
        rate=RATE,
        second_order=order == "MAML",
    )
    expected = reference.gradients(weights, problem)
    for path in PATHS:
        adapt = {"dense": ["*"], "rows": rows}
        got = gradients(tools, problem, path, order=order, steps=steps, adapt=adapt)
        assert difference(got, expected) < 1e-10, path


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), min_size=1, max_size=8),
    order=st.sampled_from(["MAML", "FOMAML"]),
    steps=st.integers(1, 4),
    adapt=st.sampled_from([BOTH, {"dense": ["*"], "rows": []}, {"dense": ["top.1", "bottom.*"], "rows": ["multi0"]}]),
    seed=st.integers(0, 1000),
)
def test_both_paths_agree_for_any_shape(
    tools: Any, sizes: list[tuple[int, int]], order: str, steps: int, adapt: Any, seed: int
) -> None:
    problem = tools.make_problem(sizes, seed=seed)
    low_rank, own = (gradients(tools, problem, path, order=order, steps=steps, adapt=adapt) for path in PATHS)
    assert difference(low_rank, own) < 1e-10


class NormedFields(nn.Module):
    """Layer norm over the fields of every sample, and over their mean."""

    def __init__(self, inputs: ModelInputs) -> None:
        super().__init__()
        self.inputs = inputs
        self.linear = AdaptiveLinear(inputs.dim, 4)
        self.norm = AdaptiveLayerNorm(4)
        self.head = AdaptiveLinear(4, 1)

    def forward(self, features: Features, rows: FeatureRows) -> Tensor:
        fields = torch.tanh(self.norm(self.linear(rows.stacked)))
        logits: Tensor = self.head(self.norm(fields.mean(1) + features.numeric.sum(1, keepdim=True)))
        return logits.squeeze(1)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("order", ["MAML", "FOMAML"])
def test_layer_norm_adapts_as_in_the_loop(tools: Any, order: str, steps: int) -> None:
    problem = tools.make_problem(SIZES)
    torch.manual_seed(2)
    model = NormedFields(problem.inputs).double()

    def forward(weights: Any, numeric: Tensor, stacked: Tensor) -> Tensor:
        arguments = Features(numeric), FeatureRows(problem.inputs.features, stacked)
        logits: Tensor = functional_call(model, dict(weights), arguments)
        return logits

    weights = dict(model.named_parameters())
    reference = tools.reference(forward, list(weights), (), steps=steps, rate=RATE, second_order=order == "MAML")
    meta = MetaSpec.model_validate({"algorithm": order, "inner": {"steps": steps, "rate": RATE}})
    got = build_algorithm(meta, model, problem.inputs.features).gradients(model, problem.rows, problem.packed())
    assert difference(got, reference.gradients(weights, problem)) < 1e-10
