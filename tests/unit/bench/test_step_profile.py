"""The profile notes what a step calls, forwards and backwards."""

import torch
from bench.meta_problem import Case
from bench.step_profile import COLUMNS, Noting, profile


def test_operators_of_both_passes_are_noted_in_their_order() -> None:
    weight, x = torch.ones(3, 2, requires_grad=True), torch.ones(4, 3)
    with Noting() as noting:
        (x @ weight).relu().sum().backward()
    names = [str(func).split(".")[1] for func, _, _ in noting.calls]
    assert names.index("mm") < names.index("relu") < names.index("threshold_backward")
    assert names.count("mm") == 2


def test_a_profile_adds_up() -> None:
    found = profile("FOMAML", Case(tasks=2, shots=2, steps=1))
    assert tuple(found) == COLUMNS
    assert 0 < found["of these matrix products"] < found["operators, alone"]
    assert found["operators"] > profile("Joint", Case(tasks=2, shots=2, steps=1))["operators"] > 50
