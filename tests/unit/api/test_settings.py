"""`--set path=value`: YAML values, list indices, and exact messages for paths that lead nowhere."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmeta_api.errors import ManifestError
from gmeta_api.settings import apply_settings

Manifest = dict[str, Any]


def test_values_are_yaml_and_groups_are_created(manifest: Manifest) -> None:
    changed = apply_settings(
        manifest,
        [
            "spec.meta.inner.rate=1e-3",
            "spec.data.prepare.labels[0].rule=rating >= 5",
            "spec.model.top=[8, 4]",
            "spec.workers.nodeSelector.zone=a",
            "spec.model.args.depth.units=3",
            "metadata.labels={team: ml}",
        ],
    )
    assert changed["spec"]["meta"] == {"inner": {"rate": 0.001}}
    assert changed["spec"]["data"]["prepare"]["labels"] == [{"name": "click", "rule": "rating >= 5"}]
    assert changed["spec"]["model"] == {"top": [8, 4], "args": {"depth": {"units": 3}}}
    assert changed["spec"]["workers"] == {"nodeSelector": {"zone": "a"}}
    assert changed["metadata"]["labels"] == {"team": "ml"}


def test_an_index_at_the_end_appends_and_the_last_setting_wins(manifest: Manifest) -> None:
    changed = apply_settings(
        manifest,
        ["spec.volumes[2].name=old", "spec.volumes[2].name=more", "spec.volumes[2].emptyDir={}", "spec.model.top[0]=8"],
    )
    assert changed["spec"]["volumes"][2] == {"name": "more", "emptyDir": {}}
    assert changed["spec"]["model"]["top"] == [8]


def test_the_given_manifest_is_left_alone(manifest: Manifest) -> None:
    before = deepcopy(manifest)
    apply_settings(manifest, ["spec.volumes[0].name=other", "spec.data.prepare.task[1]=day"])
    assert manifest == before


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("spec.meta.inner.steps", "--set spec.meta.inner.steps: expected path=value, such as spec.meta.inner.steps=2"),
        ("=2", "--set =2: expected path=value, such as spec.meta.inner.steps=2"),
        ("spec..meta=2", "--set spec..meta=2: expected path=value, such as spec.meta.inner.steps=2"),
        ("spec.meta.iner.steps=2", "spec.meta.iner: unknown field; did you mean 'inner'?"),
        ("spec.meta.tasksPerStep=2", "spec.meta.tasksPerStep: unknown field; 'tasksPerStep' belongs to spec.training"),
        ("spce.meta=2", "spce: unknown field; did you mean 'spec'?"),
        ("spec.volumes.name=a", "spec.volumes.name: a list needs an index such as [0], received 'name'"),
        ("spec.meta[0]=a", "spec.meta[0]: an index needs a list, received one for a mapping"),
        ("spec.data.path[0]=a", "spec.data.path[0]: an index needs a list, received one for a value"),
        ("spec.data.path.x=a", "spec.data.path.x: a value has no fields"),
        ("spec.volumes[9].name=a", "spec.volumes[9]: the list has 2 items; the next index is 2"),
        (
            "spec.model={a: 1, a: 2}",
            "--set spec.model:1:8: duplicate key 'a'; the first one is above, remove one of them",
        ),
    ],
)
def test_a_setting_that_leads_nowhere_is_named(manifest: Manifest, setting: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        apply_settings(manifest, [setting])
    assert str(caught.value) == message


def test_a_file_that_has_another_kind_of_value_there_is_named(manifest: Manifest) -> None:
    manifest["spec"]["meta"] = 3
    manifest["spec"]["volumes"] = "data"
    with pytest.raises(ManifestError) as caught:
        apply_settings(manifest, ["spec.meta.inner.steps=2", "spec.volumes[0].name=a"])
    assert str(caught.value).splitlines() == [
        "spec.meta: expected a mapping in the file, received 3",
        "spec.volumes: expected a list in the file, received 'data'",
    ]


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.from_regex(r"[a-z]{1,4}", fullmatch=True), min_size=1, max_size=4), _json)
@settings(deadline=None, max_examples=100)
def test_any_json_value_arrives_at_its_path(names: list[str], value: Any) -> None:
    changed = apply_settings({}, [f"spec.model.args.{'.'.join(names)}={json.dumps(value)}"])
    for name in ("spec", "model", "args", *names):
        assert list(changed) == [name]
        changed = changed[name]
    assert changed == value
