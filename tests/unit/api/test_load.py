"""A good manifest becomes the typed one with its defaults; the public names of the models."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmeta_api.errors import ManifestError, Problem
from gmeta_api.load import load_manifest, parse_job, validate
from gmeta_api.nearest import nearest
from gmeta_api.shapes import fields_of
from gmeta_api.spec import PrepareSpec, TrainingSpec

Manifest = dict[str, Any]


def test_defaults_are_filled_in(manifest: Manifest) -> None:
    spec = parse_job(manifest).spec
    assert (spec.training.epochs, spec.training.steps, spec.training.tasks_per_step) == (10, None, 32)
    assert (spec.data.support.policy, spec.data.support.min, spec.data.support.max) == ("uniform", 1, 30)
    assert spec.meta.adapt is None
    assert spec.data.prepare is not None
    assert spec.data.prepare.split.train == 0.8
    assert parse_job(manifest).metadata.namespace == "default"


def test_a_file_with_settings(tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(manifest))
    job = load_manifest(path, ["spec.meta.inner.steps=3", "spec.optimizer.dense.rate=1"])
    assert job.spec.meta.inner.steps == 3
    assert job.spec.optimizer.dense.rate == 1.0


def test_an_object_from_the_api_server_is_taken_as_it_is(manifest: Manifest) -> None:
    stored = manifest | {
        "metadata": {
            "name": "quickstart",
            "uid": "4c1b",
            "generation": 3,
            "resourceVersion": "17",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"manager": "kubectl"}],
        },
        "status": {"fieldOfALaterVersion": 1},
    }
    assert parse_job(stored).metadata.uid == "4c1b"


def test_nulls_in_free_objects_are_kept(manifest: Manifest) -> None:
    manifest["spec"]["model"] = {"type": "my.models:Tower", "args": {"dropout": None, "sizes": [None, 1]}}
    job = parse_job(manifest)
    assert job.spec.model.args == {"dropout": None, "sizes": [None, 1]}
    assert '"dropout":null' in job.model_dump_json(by_alias=True, exclude_none=True)


def test_quantities_may_be_whole_numbers(manifest: Manifest) -> None:
    manifest["spec"]["workers"] = {"resources": {"limits": {"cpu": 2, "memory": "8Gi"}}}
    assert parse_job(manifest).spec.workers.resources.limits == {"cpu": "2", "memory": "8Gi"}


def test_whole_numbers_are_integers_however_they_are_written(manifest: Manifest) -> None:
    """As in what kubectl sends; a class of the user's own gets the same arguments on a laptop and on a cluster."""
    manifest["spec"]["training"] = {"steps": 1e3}
    manifest["spec"]["model"] = {"type": "my.models:Tower", "top": [2.0], "args": {"dropout": [1.0, 0.5, 1e300]}}
    manifest["spec"]["optimizer"] = {"dense": {"rate": 1}}
    spec = parse_job(manifest).spec
    assert (spec.training.steps, spec.model.top) == (1000, (2,))
    assert repr(spec.model.args["dropout"]) == "[1, 0.5, 1e+300]"
    assert repr(spec.optimizer.dense.rate) == "1.0"


def test_one_group_can_be_checked_by_itself(manifest: Manifest) -> None:
    prepare = manifest["spec"]["data"]["prepare"]
    assert validate(PrepareSpec, prepare).task == ("user_id",)
    prepare["taskRows"] = {"min": 3, "max": 2}
    with pytest.raises(ManifestError) as caught:
        validate(PrepareSpec, prepare, ("spec", "data", "prepare"))
    assert caught.value.problems == (Problem("spec.data.prepare.taskRows.min", "must not be above max; received 3"),)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["data", "task"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "by", "x"]), inner),
    max_leaves=5,
)


@given(st.data())
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_anywhere_gives_a_job_or_problems_with_paths(manifest: Manifest, data: st.DataObject) -> None:
    whole: Any = parse_job(manifest).model_dump(mode="json", by_alias=True, exclude_none=True)
    target = whole
    while isinstance(target, dict | list) and target:
        key: Any = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
        if not isinstance(target[key], dict | list) or data.draw(st.booleans()):
            target[key] = data.draw(_json)
            break
        target = target[key]
    roots = {re.split(r"[.\[]", path)[0] for path in problem_paths(whole)}
    assert roots <= {"apiVersion", "kind", "metadata", "spec"}


def problem_paths(manifest: Manifest) -> list[str]:
    try:
        parse_job(manifest)
    except ManifestError as error:
        return [problem.path for problem in error.problems]
    return []


@given(st.sampled_from(sorted(fields_of(TrainingSpec))), st.data())
@settings(deadline=None, max_examples=150)
def test_a_name_with_one_letter_wrong_finds_its_way_back(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.sampled_from("aeiouxyz"))
    misspelt = data.draw(st.sampled_from([name[:at] + name[at + 1 :], name[:at] + letter + name[at:]]))
    assert nearest(misspelt, fields_of(TrainingSpec)) == name


def test_a_name_like_nothing_has_no_nearest() -> None:
    assert nearest("zzz", ["steps", "epochs"]) is None
    assert nearest("STEPS", ["steps", "epochs"]) == "steps"
