"""What a sweep manifest may say, and what its trials are."""

from typing import Any

import pytest
from tests.unit.sweep.conftest import SWEEP, MakeSweep

from gmeta_api.errors import ManifestError
from gmeta_worker.sweep.manifest import Params
from gmeta_worker.sweep.space import short_names

RATE = {"path": "spec.meta.inner.rate", "type": "float", "low": 0.01, "high": 1}
NOT_SHARED = (
    "must be below spec, and not in volumes, checkpoint, data.volume, data.path, data.prepare or training.evaluation: "
    "all trials share the dataset and are scored alike"
)


def space(**changes: Any) -> dict[str, Any]:
    return {"space": [RATE | changes]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metirc": "auc"}, "metirc: unknown field; did you mean 'metric'?"),
        ({"metric": "ndcg"}, "metric: expected one of 'auc', 'gauc', 'loss', received 'ndcg'"),
        ({"trials": 0}, "trials: expected at least 1, received 0"),
        ({"space": []}, "space: expected at least 1 item, received an empty list"),
        (space(high=None), "space[0].high: expected a number, received null; remove the field or give it a value"),
        (space(high=0.001), "space[0].high: must be above low; received 0.001"),
        (space(low=0, log=True), "space[0].low: must be above 0 where log is true; received 0.0"),
        (space(choices=[1, 2]), "space[0]: float and int take low, high and log; categorical takes choices"),
        (space(type="int", low=1, high=2.5), "space[0].high: must be a whole number where type is int; received 2.5"),
        ({"space": [RATE, RATE]}, "space: two items have the same path; every path must be unique"),
        ({"fixed": {"spec.meta.inner.rate": 1}}, "fixed: a path is in space too; leave it out of one"),
        (space(path="spec.checkpoint.path"), f"space[0].path: {NOT_SHARED}; received 'spec.checkpoint.path'"),
        (space(path="metadata.name"), f"space[0].path: {NOT_SHARED}; received 'metadata.name'"),
        (
            space(path="spec.meta.inner.rats"),
            "space[0]: spec.meta.inner.rats: unknown field; did you mean 'rate'?",
        ),
        (space(high=2000), "space[0]: spec.meta.inner.rate: expected at most 1000, received 2000"),
        (
            space(path="spec.model.top[0]", type="int", low=0, high=8),
            "space[0]: spec.model.top[0]: expected at least 1, received 0",
        ),
        (
            {"fixed": {"spec.training.epochs": "many"}},
            "fixed: spec.training.epochs: expected an integer, received 'many'",
        ),
        ({"shot": 7}, "shot: expected one of the job's spec.training.evaluation.shots (1, 5, 10, 30), received 7"),
        (
            {"job": {"training": {"epochs": 1, "evaluation": {"everyEpochs": 1, "split": "test"}}}},
            "job job.yaml: spec.training.evaluation.split: expected valid, received test; a sweep must never choose by "
            "test tasks",
        ),
    ],
)
def test_a_wrong_sweep_is_refused_by_field(sweep: MakeSweep, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError) as refused:
        sweep(**changes)
    assert message in str(refused.value).splitlines()


def test_a_job_that_is_wrong_itself_is_named(sweep: MakeSweep) -> None:
    with pytest.raises(ManifestError) as refused:
        sweep({"meta": {"inner": {"steps": 0}}})
    assert str(refused.value) == "job job.yaml: spec.meta.inner.steps: expected at least 1, received 0"


def test_a_trial_is_the_job_with_its_values_on_the_watched_split(sweep: MakeSweep) -> None:
    loaded = sweep(
        {"training": {"epochs": 3, "evaluation": {"everySteps": 7, "shots": [2], "finalShots": [1, 9]}}},
        fixed={"spec.training.epochs": 2},
    )
    params: Params = {"spec.meta.inner.rate": 0.3, "spec.model.top": [4, 4]}
    spec = loaded.trial_job(params, "trials/0005").spec
    assert (spec.meta.inner.rate, spec.model.top, spec.training.epochs) == (0.3, (4, 4), 2)
    evaluation = spec.training.evaluation
    assert (evaluation.split, evaluation.final_split, evaluation.final_shots) == ("valid", "valid", ())
    assert (evaluation.every_steps, evaluation.shots) == (7, (2,))
    assert (spec.checkpoint.volume, spec.checkpoint.path) == ("sweep", "trials/0005")
    assert spec.data.prepare is None

    written = loaded.manifest_with(params)["spec"]
    assert written["training"]["evaluation"]["finalShots"] == [1, 9], "best.yaml is scored as the job is"
    assert written["checkpoint"] == loaded.manifest["spec"]["checkpoint"]


def test_values_that_do_not_go_together_fail_their_trial_only(sweep: MakeSweep) -> None:
    loaded = sweep()
    with pytest.raises(ManifestError, match=r"spec.training: set exactly one of epochs, steps and phases"):
        loaded.trial_job({"spec.training.steps": 5, "spec.training.epochs": 5}, "trials/0000")


def test_names_are_as_short_as_they_can_be() -> None:
    paths = ["spec.optimizer.dense.rate", "spec.optimizer.sparse.rate", "spec.meta.inner.steps", "spec.rate"]
    assert list(short_names(paths).values()) == ["dense.rate", "sparse.rate", "steps", "spec.rate"]


def test_the_sweep_of_the_tests_is_valid(sweep: MakeSweep) -> None:
    loaded = sweep()
    assert [parameter.path for parameter in loaded.spec.space] == [item["path"] for item in SWEEP["space"]]
    assert loaded.spec.direction == "maximize"
    assert sweep(metric="loss").spec.direction == "minimize"
