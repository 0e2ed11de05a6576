"""The condition Invalid: true with every problem, false when valid, moving only when it flips."""

import copy
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from gmeta_api.load import parse_job
from gmeta_operator.validity import MAX_MESSAGE, checked, validity_condition

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def resource() -> dict[str, Any]:
    return {
        "apiVersion": "gmeta.dev/v1alpha1",
        "kind": "MetaTrainingJob",
        "metadata": {"name": "job", "uid": "1", "generation": 2, "managedFields": []},
        "spec": {
            "volumes": [{"name": "all", "emptyDir": {}}],
            "data": {"volume": "all", "path": "set"},
            "checkpoint": {"volume": "all", "path": "run"},
        },
        "status": {"state": "Pending"},
    }


def test_a_valid_resource(resource: dict[str, Any]) -> None:
    condition = validity_condition(resource, 2, NOON, None)
    assert condition.model_dump(by_alias=True) == {
        "type": "Invalid",
        "status": "False",
        "observedGeneration": 2,
        "lastTransitionTime": "2026-01-02T12:00:00Z",
        "reason": "SpecValid",
        "message": "the spec is valid",
    }


def test_an_invalid_resource_names_every_problem(resource: dict[str, Any]) -> None:
    resource["spec"]["data"]["volume"] = "none"
    resource["spec"]["meta"] = {"inner": {"stpes": 1}}
    condition = validity_condition(resource, 2, NOON, None)
    assert (condition.status, condition.reason) == ("True", "SpecInvalid")
    assert condition.message.splitlines() == [
        "spec.meta.inner.stpes: unknown field; did you mean 'steps'?",
        "spec.data.volume: must be the name of one of spec.volumes; received 'none'",
    ]


def test_the_transition_time_moves_only_when_the_status_flips(resource: dict[str, Any]) -> None:
    first = validity_condition(resource, 2, NOON, None)
    later = validity_condition(resource, 3, NOON + timedelta(hours=1), first)
    assert (later.last_transition_time, later.observed_generation) == (first.last_transition_time, 3)
    resource["spec"]["data"]["volume"] = "none"
    flipped = validity_condition(resource, 4, NOON + timedelta(hours=2), later)
    assert flipped.last_transition_time == "2026-01-02T14:00:00Z"


def test_the_time_is_written_in_utc(resource: dict[str, Any]) -> None:
    here = NOON.astimezone(timezone(timedelta(hours=9)))
    assert validity_condition(resource, 1, here, None).last_transition_time == "2026-01-02T12:00:00Z"


def test_a_long_message_ends_with_the_number_of_problems_left_out(resource: dict[str, Any]) -> None:
    resource["spec"]["model"] = {f"unknown{number:03}": 1 for number in range(200)}
    message = validity_condition(resource, 1, NOON, None).message
    *shown, last = message.splitlines()
    assert len(message) <= MAX_MESSAGE
    assert last == f"and {200 - len(shown)} more; `gmeta validate` prints all"
    assert len(shown) > 10


def test_a_single_problem_that_does_not_fit_leaves_the_count(resource: dict[str, Any]) -> None:
    resource["spec"]["x" * MAX_MESSAGE] = 1
    assert validity_condition(resource, 1, NOON, None).message == "and 1 more; `gmeta validate` prints all"


def test_jobs_share_equal_groups_of_their_specs_and_no_others(resource: dict[str, Any]) -> None:
    other = copy.deepcopy(resource)
    other["metadata"]["name"], other["spec"]["data"]["path"] = "other", "another set"
    (first, _), (second, _) = checked(resource), checked(other)
    assert first is not None
    assert second is not None
    assert first.spec.training is second.spec.training
    assert (first.spec.data.path, second.spec.data.path) == ("set", "another set")
    for manifest, found in ((resource, first), (other, second)):
        plain = {name: value for name, value in manifest.items() if name != "status"}
        assert found.spec == parse_job({**plain, "metadata": {"name": manifest["metadata"]["name"]}}).spec
