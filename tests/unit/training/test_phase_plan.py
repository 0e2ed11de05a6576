"""Which algorithm trains which step, and whose evaluations count."""

from typing import Any

from gmeta_api.spec import Spec
from gmeta_worker.training.phase_plan import plan_phases

JOINT_THEN_META = [
    {"name": "first", "algorithm": "Joint", "epochs": 2},
    {"name": "second", "algorithm": "FOMAML", "steps": 3},
    {"name": "third", "algorithm": "MAML", "epochs": 1},
]


def spec(training: dict[str, Any]) -> Spec:
    volumes = [{"name": "data", "emptyDir": {}}]
    places = {"data": {"volume": "data", "path": "set"}, "checkpoint": {"volume": "data", "path": "run"}}
    return Spec.model_validate({"volumes": volumes, **places, "meta": {"algorithm": "ANIL"}, "training": training})


def test_a_run_without_phases_has_one_algorithm() -> None:
    for training in ({"epochs": 3}, {"steps": 15}):
        plan = plan_phases(spec(training), steps_per_epoch=5)
        assert (plan.total, {plan.algorithm_at(step) for step in range(15)}) == (15, {"ANIL"})
        assert [plan.judged(step) for step in (1, 15)] == [True, True]


def test_phases_follow_one_another_and_the_last_one_is_judged() -> None:
    plan = plan_phases(spec({"phases": JOINT_THEN_META}), steps_per_epoch=5)
    assert plan.total == 10 + 3 + 5
    assert [plan.algorithm_at(step) for step in range(18)] == ["Joint"] * 10 + ["FOMAML"] * 3 + ["MAML"] * 5
    # the model after 13 steps is the second phase's; the first one that the third has trained is there after 14
    assert [step for step in range(1, 19) if plan.judged(step)] == [14, 15, 16, 17, 18]
