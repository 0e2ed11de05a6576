"""Bad manifests, one distinct mistake each, with the exact whole message."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gmeta_api.errors import ManifestError
from gmeta_api.exit_codes import ExitCode
from gmeta_api.load import load_manifest, parse_job

BAD_VALUES = [
    pytest.param(
        ["spec.meta={inner: {stpes: 2}}"],
        "spec.meta.inner.stpes: unknown field; did you mean 'steps'?",
        id="misspelt field",
    ),
    pytest.param(
        ["spec.meta={tasksPerStep: 2}"],
        "spec.meta.tasksPerStep: unknown field; 'tasksPerStep' belongs to spec.training",
        id="field of another group",
    ),
    pytest.param(
        ["spec.checkpoint={volume: runs, path: a, zebra: 1}"],
        "spec.checkpoint.zebra: unknown field; known here: everySteps, keep, path, volume",
        id="field known nowhere",
    ),
    pytest.param(
        ["spec.data={volume: data, path: a, max_task_rows: 9}"],
        "spec.data.max_task_rows: unknown field; did you mean 'maxTaskRows'?",
        id="python spelling",
    ),
    pytest.param(
        ["apiVersion=gmeta.dev/v1"],
        "apiVersion: expected 'gmeta.dev/v1alpha1', received 'gmeta.dev/v1'",
        id="api version",
    ),
    pytest.param(["kind=Job"], "kind: expected 'MetaTrainingJob', received 'Job'", id="kind"),
    pytest.param(
        ["metadata.name=Quick_Start"],
        "metadata.name: must be a DNS label of at most 45 characters that starts with a letter: pods and services of "
        "the job add a suffix to it; received 'Quick_Start'",
        id="job name",
    ),
    pytest.param(
        ["spec.checkpoint={volume: runs}"], "spec.checkpoint.path: required field is missing", id="required field"
    ),
    pytest.param(
        ["spec.meta.inner.steps=two"],
        "spec.meta.inner.steps: expected an integer, received 'two'",
        id="text for an integer",
    ),
    pytest.param(
        ["spec.meta.inner.steps=1.5"],
        "spec.meta.inner.steps: expected an integer, received 1.5",
        id="fraction for an integer",
    ),
    pytest.param(
        ["spec.meta.inner.steps=true"],
        "spec.meta.inner.steps: expected an integer, received true",
        id="boolean for an integer",
    ),
    pytest.param(
        ["spec.runPolicy.suspend=yes"],
        "spec.runPolicy.suspend: expected true or false, received 'yes'",
        id="yes is a text",
    ),
    pytest.param(
        ["spec.data.prepare.delimiter=9"],
        "spec.data.prepare.delimiter: expected a text, received 9; put it in quotes",
        id="number for a text",
    ),
    pytest.param(["spec.model.top=64"], "spec.model.top: expected a list, received 64", id="number for a list"),
    pytest.param(["spec.optimizer=Adam"], "spec.optimizer: expected a mapping, received 'Adam'", id="text for a group"),
    pytest.param(
        ["spec.meta.evalInner=null"],
        "spec.meta.evalInner: expected a mapping, received null; remove the field or give it a value",
        id="null",
    ),
    pytest.param(
        ["spec.optimizer.dense.type=AdmaW"],
        "spec.optimizer.dense.type: expected one of 'Adam', 'AdamW', 'Adagrad', 'SGD', received 'AdmaW'; did you mean "
        "'AdamW'?",
        id="misspelt choice",
    ),
    pytest.param(
        ["spec.meta.algorithm=MALM"],
        "spec.meta.algorithm: expected MAML, FOMAML, ANIL, CAVIA, LiMAML, MetaSGD, Reptile, Joint or "
        "package.module:Class, received 'MALM'",
        id="algorithm",
    ),
    pytest.param(
        ["spec.training.device=tpu"],
        "spec.training.device: expected one of 'auto', 'cpu', 'cuda', received 'tpu'",
        id="unknown choice",
    ),
    pytest.param(
        ["spec.optimizer.dense.rate=0"],
        "spec.optimizer.dense.rate: expected a number above 0, received 0",
        id="rate zero",
    ),
    pytest.param(
        ["spec.meta.inner.steps=65"], "spec.meta.inner.steps: expected at most 64, received 65", id="above the maximum"
    ),
    pytest.param(
        ["spec.model.embeddingDim=0"],
        "spec.model.embeddingDim: expected at least 1, received 0",
        id="below the minimum",
    ),
    pytest.param(
        ["spec.data.prepare.task=[]"],
        "spec.data.prepare.task: expected at least 1 item, received an empty list",
        id="empty list",
    ),
    pytest.param(
        ["spec.data.prepare.labels=[{name: click, rule: 7}]"],
        "spec.data.prepare.labels[0].rule: expected a text, received 7; put it in quotes",
        id="faulty item of a list that must have one",
    ),
    pytest.param(
        ["spec.model.top=[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"],
        "spec.model.top: expected at most 16 items, received a list of 17 items",
        id="long list",
    ),
    pytest.param(["spec.model.top=[64, 0]"], "spec.model.top[1]: expected at least 1, received 0", id="item of a list"),
    pytest.param(
        ["spec.model.type=my model"],
        "spec.model.type: expected DLRM, DeepFM, DCN, WideDeep, MeLU, LiMAML, MMoE, PLE, DTN or package.module:Class, "
        "received 'my model'",
        id="model class",
    ),
    pytest.param(
        ["spec.workers.nodeSelector={'bad key!': x}"],
        "spec.workers.nodeSelector.bad key!: expected a Kubernetes label key, such as example.com/name, received "
        "'bad key!'",
        id="key of a map",
    ),
    pytest.param(
        ["spec.workers.resources={limits: {memory: lots}}"],
        "spec.workers.resources.limits.memory: expected a Kubernetes quantity, such as 2, 500m or 16Gi, received "
        "'lots'",
        id="quantity",
    ),
    pytest.param(
        ["spec.data.volume=dta"],
        "spec.data.volume: must be the name of one of spec.volumes; received 'dta'",
        id="rule over two groups",
    ),
    pytest.param(
        ["spec.volumes[1].name=data", "spec.checkpoint.volume=data"],
        "spec.volumes: two items have the same name; every name must be unique",
        id="rule over a list",
    ),
    pytest.param(
        ["spec.data.path=../elsewhere"],
        "spec.data.path: must be relative to the volume: no leading '/' and no '..'; received '../elsewhere'",
        id="rule on a value",
    ),
]


@pytest.mark.parametrize(("settings", "message"), BAD_VALUES)
def test_a_bad_value_gives_one_exact_message(problems: Callable[..., str], settings: list[str], message: str) -> None:
    assert problems(*settings) == message


BAD_FILES = [
    (b"", "{path}: the file is empty; expected a MetaTrainingJob manifest"),
    (b"# nothing\n", "{path}: the file is empty; expected a MetaTrainingJob manifest"),
    (
        b"- 1\n- 2\n",
        "{path}: expected a mapping with apiVersion, kind, metadata and spec, received a list of 2 items",
    ),
    (b"spec: \xff\n", "{path}:1: byte 0xff is not UTF-8; save the file as UTF-8"),
    (b"spec:\n\tmodel: 1\n", "{path}:2:1: a tab cannot indent YAML; use spaces"),
    (b"a: 1\nspec: {x: 1, x: 2}\n", "{path}:2:14: duplicate key 'x'; the first one is above, remove one of them"),
    (b"a: 1\n---\nb: 2\n", "{path}:2:1: more than one document; put each job in a file of its own"),
    (b"a: [1, 2\n", "{path}:2:1: expected ',' or ']', but got '<stream end>' (while parsing a flow sequence)"),
    (b"a: !secret 1\n", "{path}:1:4: unknown tag '!secret'; remove it"),
    (b"a: .nan\n", "{path}:1:4: .nan is not a finite number; manifests are JSON, which has no other"),
    (b"1: a\n", "{path}:1:1: a key must be a text, received 1; put it in quotes"),
    (b"a: &x [*x]\n", "{path}:1:4: an alias refers to a value that contains it"),
    (b"a: 9223372036854775808\n", "{path}:1:4: an integer must fit in 64 bits"),
    (b"a: \x00\n", "{path}:1: the character U+0000 is not allowed in YAML"),
    (b" " * 1_048_577, "{path}: the file has 1048577 bytes; a manifest has at most 1048576"),
]


@pytest.mark.parametrize(("content", "message"), BAD_FILES)
def test_a_bad_file_gives_one_exact_message(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    assert str(caught.value) == message.format(path=path)
    assert caught.value.exit_code is ExitCode.MANIFEST


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ManifestError) as caught:
            load_manifest(path)
        assert str(caught.value) == f"{path}: cannot read the file: {reason}"


def test_all_problems_come_at_once(problems: Callable[..., str]) -> None:
    message = problems(
        "spec.meta={inner: {stpes: 2, rate: 0}}",
        "spec.model={embeddingDim: big, vocabulary: {type: hash}}",
        "spec.data.volume=none",
        "spec.training={epochs: 1, steps: 2}",
    )
    assert message.splitlines() == [
        "spec.model.embeddingDim: expected an integer, received 'big'",
        "spec.meta.inner.rate: expected a number above 0, received 0",
        "spec.meta.inner.stpes: unknown field; did you mean 'steps'?",
        "spec.data.volume: must be the name of one of spec.volumes; received 'none'",
        "spec.model.vocabulary.rows: a hash vocabulary needs its number of rows",
        "spec.training: set exactly one of epochs, steps and phases",
    ]


def test_a_rule_does_not_blame_a_value_that_has_a_problem_of_its_own(problems: Callable[..., str]) -> None:
    """`size` is there, only not a number: that policy fixed needs one is no news."""
    message = problems("spec.data.support={policy: fixed, size: many}")
    assert message == "spec.data.support.size: expected an integer, received 'many'"


def test_rules_are_checked_in_groups_beside_one_that_lacks_a_field(problems: Callable[..., str]) -> None:
    message = problems("spec.checkpoint={volume: runs}", "spec.workers={replicas: 2, maxReplicas: 1}")
    assert message.splitlines() == [
        "spec.checkpoint.path: required field is missing",
        "spec.workers.maxReplicas: must not be below replicas; received 1",
    ]


def test_a_list_with_a_bad_item_keeps_the_indices_of_other_problems(problems: Callable[..., str]) -> None:
    message = problems("spec.volumes=[3, {name: data}, null]", "spec.checkpoint.volume=data")
    assert message.splitlines() == [
        "spec.volumes[0]: expected a mapping, received 3",
        "spec.volumes[2]: expected a mapping, received null; remove the field or give it a value",
    ]


@pytest.mark.parametrize("manifest_value", [{}, {"spec": None}, {"spec": []}, {"metadata": 3, "spec": {"volumes": {}}}])
def test_odd_objects_give_problems_and_no_traceback(manifest_value: dict[str, Any]) -> None:
    with pytest.raises(ManifestError):
        parse_job(manifest_value)
