"""An algorithm of the user's own: built from the manifest, trained like the others, refused with the reason."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from gmeta_api.errors import ModelError
from gmeta_api.spec import MetaSpec
from gmeta_worker.meta import StepGradients, build_algorithm

EXAMPLES = Path(__file__).parents[3] / "examples"
CLASSES = """
class NoScores:
    def __init__(self, loops): pass
    def gradients(self, model, rows, samples): pass
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "user_algorithms.py").write_text(CLASSES)
    for folder in (tmp_path, EXAMPLES):
        monkeypatch.syspath_prepend(folder)
    yield
    for name in ("user_algorithms", "custom_algorithm"):
        sys.modules.pop(name, None)


def gradients(tools: Any, algorithm: str, *, steps: int = 2, **args: Any) -> StepGradients:
    problem = tools.make_problem([(3, 2), (0, 2), (4, 5)])
    model = tools.small_dlrm(problem.inputs)
    inner = {"steps": steps, "rate": 0.7}
    meta = MetaSpec(algorithm=algorithm, inner=inner, outer_loss="samples", args=args)
    built = build_algorithm(meta, model, problem.inputs.features)
    return built.gradients(model, problem.rows, problem.packed())


def test_the_example_mixes_the_losses_before_and_after_the_inner_loop(tools: Any) -> None:
    after = gradients(tools, "MAML")
    assert torch.allclose(gradients(tools, "custom_algorithm:WarmStart", share=0.0).rows, after.rows)
    before = gradients(tools, "custom_algorithm:WarmStart", share=1.0)
    mixed = gradients(tools, "custom_algorithm:WarmStart", share=0.25)
    assert mixed.weight == after.weight == 9
    assert torch.allclose(mixed.rows, 0.75 * after.rows + 0.25 * before.rows)
    for name, gradient in mixed.dense.items():
        assert torch.allclose(gradient, 0.75 * after.dense[name] + 0.25 * before.dense[name])
    assert (before.rows - after.rows).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("algorithm", "args", "message"),
    [
        (
            "user_algorithms:NoScores",
            {},
            "spec.meta.algorithm: user_algorithms:NoScores has no method scores; see gmeta_worker.meta.Algorithm for "
            "what an algorithm must do",
        ),
        (
            "user_algorithms:Missing",
            {},
            "spec.meta.algorithm: module 'user_algorithms' has no attribute 'Missing' (from 'user_algorithms:Missing')",
        ),
        (
            "nowhere:Algorithm",
            {},
            "spec.meta.algorithm: no module named 'nowhere' (from 'nowhere:Algorithm'); put it on PYTHONPATH",
        ),
        (
            "custom_algorithm:WarmStart",
            {"share": 2},
            "spec.meta.args: custom_algorithm:WarmStart was called as WarmStart(loops, share=2) and raised ValueError: "
            "share: expected a number from 0 to 1, received 2; its signature is WarmStart(loops: "
            "gmeta_worker.meta.algorithm.InnerLoops, share: float = 0.5) -> None",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(tools: Any, algorithm: str, args: Any, message: str) -> None:
    with pytest.raises(ModelError) as refused:
        gradients(tools, algorithm, **args)
    assert str(refused.value) == message
