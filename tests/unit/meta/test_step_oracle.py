"""The packed step against the reference loop, in float64: the same loss and the same outer gradients."""

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gmeta_api.spec import MetaSpec
from gmeta_worker.meta import StepGradients, build_algorithm

RATE = 1.0
RAGGED = [(5, 3), (0, 2), (1, 1), (19, 17), (2, 1)]
ADAPTS = {
    "dense": {"dense": ["*"], "rows": []},
    "rows": {"dense": [], "rows": ["*"]},
    "both": {"dense": ["*"], "rows": ["*"]},
    "subset": {"dense": ["top.*"], "rows": ["single0", "multi*"]},
    "one layer": {"dense": ["bottom.1", "top.2"], "rows": []},
}


def both_ways(
    tools: Any,
    problem: Any,
    *,
    adapt: Any,
    order: str,
    steps: int,
    shrinkage: float = 0.0,
    outer_loss: str = "tasks",
    stale: bool = False,
) -> tuple[StepGradients, Any]:
    """(packed, reference) gradients of one random model."""
    model = tools.small_dlrm(problem.inputs)
    inner = {"steps": steps, "rate": RATE, "shrinkage": shrinkage}
    meta = MetaSpec(algorithm=order, inner=inner, adapt=adapt, outer_loss=outer_loss)
    algorithm = build_algorithm(meta, model, problem.inputs.features)
    weights = dict(model.named_parameters())
    reference = tools.reference(
        forward=tools.dlrm_forward,
        adapted=[name for name in weights if any(fnmatchcase(name.rpartition(".")[0], p) for p in adapt["dense"])],
        tables=[
            t for t, name in enumerate(problem.inputs.features) if any(fnmatchcase(name, p) for p in adapt["rows"])
        ],
        steps=steps,
        rate=RATE,
        second_order=order == "MAML",
        shrinkage=shrinkage,
        by_samples=outer_loss == "samples",
        stale=stale,
    )
    return algorithm.gradients(model, problem.rows, problem.packed()), reference.gradients(weights, problem)


def difference(got: StepGradients, expected: Any) -> float:
    """Largest error over loss, dense and row gradients, each relative to the largest number of its tensor."""
    pairs = [(got.loss, expected.loss), (got.rows, expected.rows)]
    pairs += [(got.dense[name], gradient) for name, gradient in expected.dense.items()]
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-3)) for a, b in pairs if b.numel())


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("order", ["MAML", "FOMAML"])
@pytest.mark.parametrize("adapt", ADAPTS.values(), ids=ADAPTS.keys())
def test_outer_gradients_equal_the_loop(tools: Any, adapt: Any, order: str, steps: int) -> None:
    problem = tools.make_problem(RAGGED)
    got, expected = both_ways(tools, problem, adapt=adapt, order=order, steps=steps)
    assert got.weight == len(RAGGED)
    assert got.dense.keys() == expected.dense.keys()
    assert difference(got, expected) < 1e-10


@settings(deadline=None, max_examples=100)
@given(
    sizes=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=6),
    numeric=st.integers(0, 3),
    singles=st.integers(0, 3),
    multi=st.integers(0, 2),
    adapt=st.sampled_from([ADAPTS["dense"], ADAPTS["rows"], ADAPTS["both"]]),
    order=st.sampled_from(["MAML", "FOMAML"]),
    steps=st.integers(1, 2),
    shrinkage=st.sampled_from([0.0, 2.5]),
    outer_loss=st.sampled_from(["tasks", "samples"]),
    label_weights=st.sampled_from([(1.0,), (1.0, 0.5), (2.0, 0.0, 1.0)]),
    missing=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_outer_gradients_equal_the_loop_for_any_shape(
    tools: Any,
    sizes: list[tuple[int, int]],
    numeric: Any,
    singles: int,
    multi: int,
    adapt: Any,
    order: str,
    steps: int,
    shrinkage: float,
    outer_loss: str,
    label_weights: Any,
    missing: bool,
    seed: int,
) -> None:
    numeric = numeric or int(singles + multi < 2)
    sizes = [(s, q) if any(query for _, query in sizes) else (s, 1) for s, q in sizes]
    adapt = adapt if singles + multi or not adapt["rows"] else ADAPTS["dense"]
    problem = tools.make_problem(
        sizes, numeric=numeric, singles=singles, multi=multi, seed=seed, label_weights=label_weights, missing=missing
    )
    got, expected = both_ways(
        tools, problem, adapt=adapt, order=order, steps=steps, shrinkage=shrinkage, outer_loss=outer_loss
    )
    labelled = [sum(any(y is not None for y in s.labels) for s in task.query) for task in problem.tasks]
    assert got.weight == sum((q > 0) if outer_loss == "tasks" else q for q in labelled)
    assert difference(got, expected) < 1e-10


@pytest.mark.parametrize("order", ["MAML", "FOMAML"])
def test_the_reference_would_see_query_rows_that_stay_stale(tools: Any, order: str) -> None:
    problem = tools.make_problem(RAGGED)
    got, stale = both_ways(tools, problem, adapt=ADAPTS["rows"], order=order, steps=1, stale=True)
    assert difference(got, stale) > 1e-3


def test_the_reference_would_see_the_wrong_order(tools: Any) -> None:
    problem = tools.make_problem(RAGGED)
    second, _ = both_ways(tools, problem, adapt=ADAPTS["both"], order="MAML", steps=1)
    _, first = both_ways(tools, problem, adapt=ADAPTS["both"], order="FOMAML", steps=1)
    assert difference(second, first) > 1e-3


def test_gradients_of_split_tasks_add_up(tools: Any) -> None:
    whole, _ = both_ways(tools, tools.make_problem(RAGGED), adapt=ADAPTS["both"], order="MAML", steps=2)
    problem = tools.make_problem(RAGGED)
    model = tools.small_dlrm(problem.inputs)
    meta = MetaSpec(algorithm="MAML", inner={"steps": 2, "rate": RATE}, adapt=ADAPTS["both"])
    algorithm = build_algorithm(meta, model, problem.inputs.features)
    parts = [algorithm.gradients(model, problem.rows, part) for part in problem.packed().one_by_one()]
    summed = StepGradients(
        loss=torch.stack([part.loss for part in parts]).sum(),
        weight=sum(part.weight for part in parts),
        dense={name: torch.stack([part.dense[name] for part in parts]).sum(0) for name in whole.dense},
        rows=torch.stack([part.rows for part in parts]).sum(0),
    )
    assert summed.weight == whole.weight
    assert difference(summed, whole) < 1e-10


@pytest.mark.parametrize("order", ["MAML", "FOMAML", "Joint"])
def test_a_rank_without_tasks_gets_zeros_and_does_not_run_the_model(tools: Any, order: str) -> None:
    problem = tools.make_problem([])
    model = tools.small_dlrm(problem.inputs)
    model.register_forward_pre_hook(lambda *_: pytest.fail("the model was called without samples"))
    algorithm = build_algorithm(MetaSpec(algorithm=order), model, problem.inputs.features)
    got = algorithm.gradients(model, problem.rows, problem.packed())
    assert got.weight == 0
    assert float(got.loss) == 0
    assert {name: g.shape for name, g in got.dense.items()} == {n: p.shape for n, p in model.named_parameters()}
    assert not any(g.any() for g in [got.rows, *got.dense.values()])
    assert algorithm.scores(model, problem.rows, problem.packed(), adapted=True).shape == (0, 1)


@pytest.mark.parametrize("order", ["MAML", "FOMAML", "Joint"])
def test_a_label_without_weight_or_values_changes_nothing_of_the_others(tools: Any, order: str) -> None:
    problem = tools.make_problem(RAGGED, label_weights=(1.0, 1.0), missing=True)
    samples = problem.packed()
    model = tools.small_dlrm(problem.inputs)
    meta = MetaSpec(algorithm=order, inner={"steps": 2, "rate": RATE, "shrinkage": 1.0}, adapt=ADAPTS["both"])
    algorithm = build_algorithm(meta, model, problem.inputs.features)

    def gradients(weights: list[float], labels: torch.Tensor) -> StepGradients:
        sets = (
            replace(part, labels=part.labels * labels, label_weights=torch.tensor(weights).double())
            for part in (samples.support, samples.query)
        )
        support, query = sets
        return algorithm.gradients(model, problem.rows, replace(samples, support=support, query=query))

    unweighted = gradients([1.0, 0.0], torch.tensor([1.0, 1.0]))
    unknown = gradients([1.0, 1.0], torch.tensor([1.0, float("nan")]))
    assert float(unweighted.loss) == pytest.approx(float(unknown.loss), rel=1e-12)
    torch.testing.assert_close(unweighted.rows, unknown.rows, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(unweighted.dense, unknown.dense, rtol=1e-10, atol=1e-12)
    assert unknown.weight < unweighted.weight


def test_the_step_leaves_model_and_rows_alone(tools: Any) -> None:
    problem = tools.make_problem(RAGGED)
    model = tools.small_dlrm(problem.inputs)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    rows = problem.rows.clone()
    build_algorithm(MetaSpec(), model, problem.inputs.features).gradients(model, rows, problem.packed())
    assert all(torch.equal(p, before[name]) and p.grad is None for name, p in model.named_parameters())
    assert torch.equal(rows, problem.rows)
    assert not rows.requires_grad
