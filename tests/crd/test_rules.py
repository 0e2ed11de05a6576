"""Every rule of the CRD on a current API server: an object that it accepts, one that it refuses with its message."""

import re

import pytest
from crd_rules import RULES
from crd_server import CrdServer
from rule_cases import RULE_CASES, changed

from gmeta_api.spec.base import IMMUTABLE
from gmeta_api.status import LARGEST, Progress

LABEL_KEY = "every key must be a Kubernetes label key, such as example.com/name"

# The server checks keys of maps by rules; on a laptop they are part of the value's shape.
KEY_CASES = [
    (["spec.workers.nodeSelector={a.b/c_d: x}"], ["spec.workers.nodeSelector={a b: x}"], "spec.workers.nodeSelector"),
    (
        ["spec.workers.resources.limits={nvidia.com/gpu: 1}"],
        ["spec.workers.resources.limits={-gpu: 1}"],
        "spec.workers.resources.limits",
    ),
    (
        ["spec.workers.resources.requests={cpu: 1}"],
        ["spec.workers.resources.requests={'': 1}"],
        "spec.workers.resources.requests",
    ),
    (
        ["spec.coordinator.resources.limits={cpu: 1}"],
        ["spec.coordinator.resources.limits={cpu/: 1}"],
        "spec.coordinator.resources.limits",
    ),
    (
        ["spec.coordinator.resources.requests={cpu: 1}"],
        ["spec.coordinator.resources.requests={/cpu: 1}"],
        "spec.coordinator.resources.requests",
    ),
]
IDENTIFIER_CASE = (
    ["spec.training={epochs: 1, labelWeights: {click: 1}}"],
    ["spec.training={epochs: 1, labelWeights: {2nd: 1}}"],
    "spec.training.labelWeights: every key must be letters, digits and '_', not starting with a digit",
)
CASES = [
    *RULE_CASES,
    *((accepted, refused, f"{path}: {LABEL_KEY}") for accepted, refused, path in KEY_CASES),
    IDENTIFIER_CASE,
]

# What must not change once a job exists, and a change of it.
UPDATES = {
    "spec.volumes": "spec.volumes[2]={name: more, emptyDir: {}}",
    "spec.data": "spec.data.prefetch=5",
    "spec.model": "spec.model.embeddingDim=8",
    "spec.meta": "spec.meta.inner.rate=0.2",
    "spec.optimizer": "spec.optimizer.dense.rate=0.1",
    "spec.training.seed": "spec.training={epochs: 10, seed: 1}",
    "spec.checkpoint.volume": "spec.checkpoint.volume=data",
    "spec.checkpoint.path": "spec.checkpoint.path=elsewhere",
    "spec.runPolicy.managedBy": "spec.runPolicy.managedBy=kueue.x-k8s.io/multikueue",
    "spec.scheduling.gang.scheduler": "spec.scheduling.gang.scheduler=volcano",
}

QUEUED = "spec.scheduling={gang: {scheduler: kueue}, queue: research}"
ELSEWHERE = "spec.scheduling={gang: {scheduler: kueue}, queue: other}"
OF_KUEUE = {
    "spec.workers.replicas: the number of pods that Kueue has admitted stays; set runPolicy.suspend, change replicas, "
    "then resume": [QUEUED, "spec.workers.replicas=3"],
    "spec.scheduling.queue: the queue that has admitted the pods stays; set runPolicy.suspend, change the queue, "
    "then resume": [ELSEWHERE],
}
"""What must not change while Kueue has admitted a job, and a change of it."""
CONDITION = {
    "type": "Running",
    "status": "True",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
    "reason": "Training",
    "message": "",
}
CONDITIONS_RULE = "status.conditions: two items have the same type; every type must be unique"


def rule_behind(message: str) -> tuple[str, str]:
    """The place that a refusal blames, and the message of the rule that it comes from."""
    path = message.partition(": ")[0]
    for where, rule in RULES:
        if where == re.sub(r"\[\d+\]", "[]", path) and message.startswith(f"{path}: {rule['message']}"):
            return path, rule["message"]
    raise AssertionError(f"no rule of the CRD says {message!r}")


def blames(refusal: str, path: str, message: str) -> bool:
    """Whether a refusal of the server says this about this place; it quotes texts and numbers that it received."""
    return (
        re.search(rf"{re.escape(path)}: Invalid value: (\S+: )?(.* evaluating rule: )?{re.escape(message)}", refusal)
        is not None
    )


def test_every_rule_has_a_case() -> None:
    updates = [f"{path}: {IMMUTABLE.message}" for path in UPDATES]
    cases = [CONDITIONS_RULE, *updates, *OF_KUEUE, *(re.sub(r"\[\d+\]", "[]", message) for _, _, message in CASES)]
    rules = [f"{where}: {rule['message']}" for where, rule in RULES]
    assert [rule for rule in rules if not any(case.startswith(rule) for case in cases)] == []
    assert len(rules) > 60


@pytest.mark.parametrize(("accepted", "refused", "message"), CASES, ids=[case[2][:60] for case in CASES])
def test_a_rule_accepts_and_refuses(server: CrdServer, accepted: list[str], refused: list[str], message: str) -> None:
    path, words = rule_behind(message)
    assert server.try_create(changed(*accepted)).refusal == ""
    refusal = server.try_create(changed(*refused)).refusal
    assert blames(refusal, path, words), refusal


@pytest.mark.parametrize(("path", "setting"), UPDATES.items())
def test_what_commits_depend_on_must_not_change(server: CrdServer, path: str, setting: str) -> None:
    with server.kept(changed()) as stored:
        refusal = server.try_replace(stored | {"spec": changed(setting)["spec"]}).refusal
    assert blames(refusal, path, IMMUTABLE.message), refusal


@pytest.mark.parametrize(
    "settings",
    [
        ["spec.workers.replicas=3", "spec.checkpoint.keep=9", "spec.faultTolerance.backoffLimit=0"],
        ["spec.training={steps: 7, tasksPerStep: 5}", "spec.runPolicy.suspend=true"],
        ["spec.model={}", "spec.meta.inner.rate=1.0e-1", "spec.data.prefetch=4"],
    ],
    ids=["workers", "length", "the same values in other words"],
)
def test_everything_else_may_change(server: CrdServer, settings: list[str]) -> None:
    with server.kept(changed()) as stored:
        assert server.try_replace(stored | {"spec": changed(*settings)["spec"]}).refusal == ""


@pytest.mark.parametrize("refused", OF_KUEUE)
@pytest.mark.parametrize("suspended", [False, True])
def test_what_kueue_has_admitted_stays_until_the_job_is_suspended(
    server: CrdServer, refused: str, suspended: bool
) -> None:
    with server.kept(changed(QUEUED, f"spec.runPolicy.suspend={str(suspended).lower()}")) as stored:
        refusal = server.try_replace(stored | {"spec": changed(*OF_KUEUE[refused])["spec"]}).refusal
    path, message = rule_behind(refused)
    assert (refusal == "") if suspended else blames(refusal, path, message), refusal


def test_a_default_cannot_change_the_seed(server: CrdServer) -> None:
    with server.kept(changed("spec.training={epochs: 10, seed: 5}")) as stored:
        refusal = server.try_replace(stored | {"spec": changed()["spec"]}).refusal
    assert blames(refusal, "spec.training.seed", IMMUTABLE.message), refusal


def test_conditions_are_told_apart_by_type(server: CrdServer) -> None:
    with server.kept(changed()) as stored:
        accepted = server.try_replace(stored | {"status": {"conditions": [CONDITION]}}, "/status")
        refused = server.try_replace(stored | {"status": {"conditions": [CONDITION, CONDITION]}}, "/status")
    assert accepted.body["status"]["conditions"] == [CONDITION]
    assert CONDITIONS_RULE.partition(": ")[2] in refused.refusal


def test_figures_at_their_bounds_are_accepted(server: CrdServer) -> None:
    progress = Progress(step=2**53, percent=100, samples_per_second=LARGEST, loss=-LARGEST, auc=1, gauc=0)
    with server.kept(changed()) as stored:
        status = {"progress": progress.model_dump(by_alias=True, exclude_none=True)}
        answer = server.try_replace(stored | {"status": status}, "/status")
    assert answer.refusal == ""
    assert answer.body["status"] == status | {"conditions": []}
