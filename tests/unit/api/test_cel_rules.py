"""Every cross-field rule accepts what it should and refuses what it should; no rule is without a case."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import cel
import pytest
from rule_cases import RULE_CASES

from gmeta_api.cel import holds
from gmeta_api.shapes import Shape, fields_of, object_shape
from gmeta_api.spec import MetaTrainingJob
from gmeta_api.spec.base import IMMUTABLE, Rule


@pytest.mark.parametrize(("accepted", "refused", "message"), RULE_CASES, ids=[case[2][:60] for case in RULE_CASES])
def test_a_rule_accepts_and_refuses(
    problems: Callable[..., str], accepted: list[str], refused: list[str], message: str
) -> None:
    assert problems(*accepted) == ""
    assert problems(*refused) == message


def rules_of(shape: Shape, path: str) -> Iterator[tuple[str, Rule]]:
    for rule in shape.rules:
        yield ".".join(part for part in (path, rule.field) if part), rule
    if shape.model is not None:
        for name, field in fields_of(shape.model).items():
            yield from rules_of(field.shape, f"{path}.{name}".removeprefix("."))
    elif shape.item is not None:
        yield from rules_of(shape.item, f"{path}[]")


ALL_RULES = list(rules_of(object_shape(MetaTrainingJob), ""))


def test_every_rule_has_a_case() -> None:
    covered = {re.sub(r"\[\d+\]", "[]", message) for _, _, message in RULE_CASES}
    without = [
        f"{path}: {rule.message}"
        for path, rule in ALL_RULES
        if not rule.transition and not any(case.startswith(f"{path}: {rule.message}") for case in covered)
    ]
    assert without == []


def test_no_rule_measures_a_text_with_size() -> None:
    """cel-rust counts bytes there, Kubernetes characters: a bound on the text's length is the way."""
    assert cel.evaluate("size('é')") == 2
    texts = [rule.cel for path, rule in ALL_RULES if ".size()" in rule.cel]
    assert {rule for rule in texts if "columns.size()" not in rule} == set()


def test_what_commits_and_admission_depend_on_must_not_change() -> None:
    guarded = {path for path, rule in ALL_RULES if rule.transition}
    assert guarded == {
        "spec.volumes",
        "spec.data",
        "spec.model",
        "spec.meta",
        "spec.optimizer",
        "spec.training.seed",
        "spec.checkpoint.volume",
        "spec.checkpoint.path",
        "spec.runPolicy.managedBy",
        "spec.scheduling.gang.scheduler",
        "spec.scheduling.queue",
        "spec.workers.replicas",
    }
    assert holds(IMMUTABLE, {"seed": 1}, {"seed": 1})
    assert not holds(IMMUTABLE, {"seed": 1}, {"seed": 2})


def test_the_engine_comes_without_its_command_line() -> None:
    script = "import sys; from gmeta_api.cel import found; print(found('a+', 'baa'), 'prompt_toolkit' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"
