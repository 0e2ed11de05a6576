"""A current API server and `gmeta validate` say the same of a manifest, and read the same job from it."""

from typing import Any

import pytest
from crd_rules import RULES
from crd_server import CrdServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import manifests_around
from rule_cases import RULE_CASES, RuleCase, changed

from gmeta_api.errors import ManifestError
from gmeta_api.load import parse_job
from gmeta_api.shapes import Shape, children, object_shape
from gmeta_api.spec import MetaTrainingJob

Manifest = dict[str, Any]
MESSAGES = {rule["message"] for _, rule in RULES}


def problems(manifest: Manifest) -> str:
    try:
        parse_job(manifest)
    except ManifestError as error:
        return str(error)
    return ""


def messages_in(text: str) -> set[str]:
    return {message for message in MESSAGES if message in text}


def without_nulls(shape: Shape, value: Any) -> Any:
    """The value without nulled fields and keys; nulls in lists stay."""
    if isinstance(value, list):
        return [without_nulls(shape.item, item) for item in value] if shape.item else value
    known = {part: child for child, _, part in children(shape, value)}
    if not known:
        return value
    return {
        name: without_nulls(known[name], item) if name in known else item
        for name, item in value.items()
        if item is not None or name not in known
    }


# Where the shapes of a schema and of a typed model could part.
@pytest.mark.parametrize(
    ("setting", "accepted"),
    [
        ("spec.model.top=[2.0, 1e1]", True),
        ("spec.model.top=[2.5]", False),
        ("spec.model.top=[null]", False),
        ("spec.meta.inner.rate=1", True),
        ("spec.workers.resources.limits={cpu: 2}", True),
        ("spec.workers.resources.limits={cpu: -2}", False),
        ("spec.workers.resources.limits={cpu: 0.5}", False),
        ("spec.workers.image=registry.example/a@sha256:0", True),
        ("spec.workers.image=a\u00a0b", False),
        (f"spec.workers.nodeSelector={{{'a' * 253}/{'b' * 63}: x}}", True),
        (f"spec.workers.nodeSelector={{{'b' * 64}: x}}", False),
        (f"spec.data.prepare.delimiter={'é' * 4}", True),
        (f"spec.data.prepare.delimiter={'é' * 5}", False),
        ('spec.model.type="DLRM\\n"', False),
        ("spec.volumes[0].emptyDir={medium: ''}", True),
        ("spec.data.support={policy: uniform, min: 1, max: 9223372036854775807}", False),
        ("spec.model={type: 'a:B', args: {deep: [null, {x: 1.5}], none: null}}", True),
    ],
)
def test_values_at_the_edge_of_their_shape(server: CrdServer, setting: str, accepted: bool) -> None:
    manifest = changed(setting)
    assert (server.try_create(manifest).refusal == "") is accepted
    assert (problems(manifest) == "") is accepted


@pytest.mark.parametrize("case", RULE_CASES, ids=[case[2][:60] for case in RULE_CASES])
@given(data=st.data())
@settings(derandomize=True, deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
def test_the_server_and_a_laptop_say_the_same(server: CrdServer, case: RuleCase, data: st.DataObject) -> None:
    manifest = data.draw(manifests_around(case))
    answer = server.try_create(manifest)
    # The one difference: the server takes a null for an absent field, a laptop asks for a value.
    kept = without_nulls(object_shape(MetaTrainingJob), manifest)
    refusal = problems(kept)
    assert (answer.refusal == "") == (refusal == ""), f"server: {answer.refusal or 'ok'}\nlaptop: {refusal or 'ok'}"
    assert kept == manifest or "received null" in problems(manifest)
    if not refusal:
        assert parse_job(answer.body) == parse_job(kept | {"metadata": answer.body["metadata"]})
    elif all(messages_in(line) for line in refusal.splitlines()):
        assert messages_in(answer.refusal) == messages_in(refusal)
