"""Models other than DLRM against the reference: shared layers, rows for every feature, biases, plain torch layers."""

import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from gmeta_api.errors import ModelError
from gmeta_api.spec import MetaSpec
from gmeta_worker.layers import AdaptiveBias, AdaptiveLinear
from gmeta_worker.meta import build_algorithm
from gmeta_worker.models import FeatureRows, Features, ModelInputs

SIZES = [(5, 3), (0, 2), (1, 1), (18, 4), (3, 2)]
RATE = 0.7
SHRINKAGE = 1.5


class FieldModel(nn.Module):
    """One layer for every feature, called twice on its own output, a layer without bias, and two kinds of bias."""

    linear: type[nn.Linear]

    def __init__(self, inputs: ModelInputs) -> None:
        super().__init__()
        self.inputs = inputs
        self.field = self.linear(inputs.dim, inputs.dim)
        self.field_bias = AdaptiveBias(inputs.dim) if self.linear is AdaptiveLinear else None
        self.head = self.linear(inputs.dim, 1, bias=False)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, features: Features, rows: FeatureRows) -> Tensor:
        x = torch.tanh(self.field(torch.tanh(self.field(rows.stacked))))
        x = x if self.field_bias is None else self.field_bias(x)
        pooled = self.field(x.mean(1) + features.numeric.sum(1, keepdim=True))
        return self.head(torch.tanh(pooled)).squeeze(1) * self.scale


class AdaptiveFields(FieldModel):
    linear = AdaptiveLinear


class PlainFields(FieldModel):
    linear = nn.Linear


def both_ways(
    tools: Any, model_class: type[nn.Module], *, dense: Any, rows: Any, order: str, steps: int = 2
) -> tuple[Any, ...]:
    problem = tools.make_problem(SIZES)
    torch.manual_seed(3)
    model = model_class(problem.inputs).double()
    inner = {"steps": steps, "rate": RATE, "shrinkage": SHRINKAGE}
    meta = MetaSpec(algorithm=order, inner=inner, adapt={"dense": list(dense), "rows": list(rows)})
    algorithm = build_algorithm(meta, model, problem.inputs.features)

    def forward(weights: Any, numeric: Tensor, stacked: Tensor) -> Tensor:
        return functional_call(model, dict(weights), (Features(numeric), FeatureRows(problem.inputs.features, stacked)))

    weights = dict(model.named_parameters())
    owners = {name: name.rpartition(".")[0] or name for name in weights}
    reference = tools.reference(
        forward=forward,
        adapted=[name for name, owner in owners.items() if owner in dense],
        tables=[t for t, name in enumerate(problem.inputs.features) if name in rows],
        steps=steps,
        rate=RATE,
        shrinkage=SHRINKAGE,
        second_order=order == "MAML",
    )
    return algorithm, model, problem, weights, reference


def assert_equal_gradients(algorithm: Any, model: nn.Module, problem: Any, weights: Any, reference: Any) -> None:
    got, expected = algorithm.gradients(model, problem.rows, problem.packed()), reference.gradients(weights, problem)
    torch.testing.assert_close(got.loss, expected.loss, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(got.rows, expected.rows, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(got.dense, expected.dense, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("order", ["MAML", "FOMAML"])
@pytest.mark.parametrize("rows", [(), ("single0", "multi0")])
def test_the_packed_path_handles_shared_layers_fields_and_biases(
    tools: Any, order: str, rows: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert_equal_gradients(
        *both_ways(tools, AdaptiveFields, dense=("field", "field_bias", "head"), rows=rows, order=order)
    )
    assert not caplog.records


@pytest.mark.parametrize("order", ["MAML", "FOMAML"])
@pytest.mark.parametrize("rows", [(), ("single0", "multi0")])
def test_plain_layers_go_task_by_task_with_the_same_result(
    tools: Any, order: str, rows: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert_equal_gradients(*both_ways(tools, PlainFields, dense=("field", "head"), rows=rows, order=order))
    assert [record.getMessage() for record in caplog.records] == [
        "the inner loop goes task by task, because field, head adapt and are not adaptive layers with weights of their "
        "own; build them from gmeta_worker.layers for the fast path, or leave them out of spec.meta.adapt.dense"
    ]


def test_a_parameter_of_the_model_itself_adapts_by_its_name(tools: Any) -> None:
    assert_equal_gradients(*both_ways(tools, AdaptiveFields, dense=("scale", "head"), rows=(), order="MAML"))


def test_plain_layers_that_do_not_adapt_keep_the_packed_path(tools: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert_equal_gradients(*both_ways(tools, PlainFields, dense=(), rows=("single1",), order="MAML"))
    assert not caplog.records


class TiedLayers(nn.Module):
    def __init__(self, inputs: ModelInputs) -> None:
        super().__init__()
        self.inputs = inputs
        self.first = AdaptiveLinear(inputs.dim, inputs.dim)
        self.second = AdaptiveLinear(inputs.dim, inputs.dim)
        self.second.weight = self.first.weight

    def forward(self, features: Features, rows: FeatureRows) -> Tensor:
        return self.second(torch.tanh(self.first(rows["single0"]))).sum(1) + features.numeric.sum(1)


def test_layers_that_share_a_weight_go_task_by_task(tools: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert_equal_gradients(*both_ways(tools, TiedLayers, dense=("first", "second"), rows=(), order="MAML"))
    assert "because first, second adapt" in caplog.text


@pytest.mark.parametrize("model_class", [AdaptiveFields, PlainFields])
@pytest.mark.parametrize("order", ["MAML", "FOMAML", "Joint"])
def test_adapted_scores_equal_the_loop(tools: Any, model_class: type[nn.Module], order: str) -> None:
    algorithm, model, problem, weights, reference = both_ways(
        tools, model_class, dense=("field", "head"), rows=("single0",), order=order, steps=3
    )
    scores = algorithm.scores(model, problem.rows, problem.packed(), adapted=True)
    torch.testing.assert_close(scores, reference.scores(weights, problem), rtol=1e-10, atol=1e-12)
    assert not scores.requires_grad


def test_scores_without_adaptation_are_those_of_the_shared_model(tools: Any) -> None:
    algorithm, model, problem, weights, reference = both_ways(
        tools, AdaptiveFields, dense=("field",), rows=("single0",), order="MAML", steps=1
    )
    shared = tools.reference(reference.forward, (), (), steps=0, rate=1.0, second_order=False)
    scores = algorithm.scores(model, problem.rows, problem.packed(), adapted=False)
    torch.testing.assert_close(scores, shared.scores(weights, problem), rtol=1e-10, atol=1e-12)
    adapted = algorithm.scores(model, problem.rows, problem.packed(), adapted=True)
    assert (adapted - scores).abs().max() > 1e-3


def test_evaluation_has_an_inner_loop_of_its_own(tools: Any) -> None:
    problem = tools.make_problem(SIZES)
    model = tools.small_dlrm(problem.inputs)
    meta = MetaSpec(inner={"steps": 1, "rate": 0.1}, eval_inner={"steps": 4, "rate": 0.5})
    scores = build_algorithm(meta, model, problem.inputs.features).scores(model, problem.rows, problem.packed(), True)
    weights = dict(model.named_parameters())
    reference = tools.reference(tools.dlrm_forward, list(weights), (), steps=4, rate=0.5, second_order=False)
    torch.testing.assert_close(scores, reference.scores(weights, problem), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("label_weights", [(1.0,), (1.0, 0.3)], ids=["a label", "two labels, half of them missing"])
def test_joint_gradients_are_those_of_plain_training(tools: Any, label_weights: tuple[float, ...]) -> None:
    problem = tools.make_problem(SIZES, label_weights=label_weights, missing=len(label_weights) > 1)
    model = tools.small_dlrm(problem.inputs)
    got = build_algorithm(MetaSpec(algorithm="Joint"), model, problem.inputs.features).gradients(
        model, problem.rows, problem.packed()
    )
    samples = [sample for task in problem.tasks for sample in task.support + task.query]
    assert got.weight == sum(any(label is not None for label in sample.labels) for sample in samples)
    weights = dict(model.named_parameters())
    reference = tools.reference(tools.dlrm_forward, (), (), steps=0, rate=1.0, second_order=False)
    expected = reference.row_sum_gradients(weights, problem)
    torch.testing.assert_close(got.loss, expected.loss, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(got.dense, expected.dense, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(got.rows, expected.rows, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("adapt", "message"),
    [
        (
            {"dense": ["top.*", "tpo.*"], "rows": []},
            "spec.meta.adapt.dense[1]: 'tpo.*' matches no layer of the model; the names are bottom.0, bottom.1, "
            "top.0, top.1, top.2",
        ),
        (
            {"dense": [], "rows": ["movie"]},
            "spec.meta.adapt.rows[0]: 'movie' matches no vocabulary; the names are single0, single1, multi0",
        ),
        (
            {"dense": [], "rows": []},
            "spec.meta.adapt: MAML needs something that adapts, received no pattern for layers or rows; name some, or "
            "set spec.meta.algorithm to Joint",
        ),
    ],
)
def test_patterns_that_adapt_nothing_are_refused(tools: Any, adapt: Any, message: str) -> None:
    problem = tools.make_problem(SIZES)
    with pytest.raises(ModelError) as error:
        build_algorithm(MetaSpec(adapt=adapt), tools.small_dlrm(problem.inputs), problem.inputs.features)
    assert str(error.value) == message


class MergesSamples(nn.Module):
    def __init__(self, inputs: ModelInputs) -> None:
        super().__init__()
        self.inputs = inputs
        self.layer = AdaptiveLinear(inputs.dim, 1)

    def forward(self, features: Features, rows: FeatureRows) -> Tensor:
        return self.layer(rows["single0"].unique(dim=0)).sum() + features.numeric.sum(1)


def test_a_layer_that_does_not_get_a_row_for_every_sample_says_so(tools: Any) -> None:
    algorithm, model, problem, *_ = both_ways(tools, MergesSamples, dense=("layer",), rows=(), order="MAML")
    with pytest.raises(ModelError) as error:
        algorithm.gradients(model, problem.rows, problem.packed())
    assert str(error.value) == (
        "AdaptiveLinear: expected one leading row for each of the 27 samples, received an input of shape [3, 3]; keep "
        "the samples as the first dimension, because the inner loop must know the task of every row"
    )
