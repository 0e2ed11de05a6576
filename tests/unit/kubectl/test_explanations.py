"""Whatever the operator gives as a reason is explained, and the docs say the same as `kubectl gmeta why`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from gmeta_api.failures import BY_EXIT_CODE, BY_REASON, INFRASTRUCTURE, KILLED, OUT_OF_MEMORY, UNKNOWN, Action
from gmeta_kubectl.explanations import CONDITIONS, EXPLANATIONS, STATES, explanation, page_of
from gmeta_kubectl.main import COMMANDS
from gmeta_kubectl.pages import PLACES, pages
from gmeta_operator.client import RESOURCES
from gmeta_operator.conditions import unknown_aspects
from gmeta_operator.metrics import STATES as OPERATOR_STATES
from gmeta_operator.validity import CONDITION_TYPE

ROOT = Path(__file__).parents[3]
OPERATOR = ROOT / "operator/gmeta_operator"
CAMEL_CASE = re.compile(r"[A-Z][A-Za-z]*[a-z][A-Za-z]*")
CLASSES = {
    each.name for each in (*BY_EXIT_CODE.values(), *BY_REASON.values(), INFRASTRUCTURE, KILLED, OUT_OF_MEMORY, UNKNOWN)
}

NO_REASONS = {
    *OPERATOR_STATES,
    *get_args(Action),
    *RESOURCES,
    *BY_REASON,
    *(aspect.kind for aspect in unknown_aspects()),
    CONDITION_TYPE,
    "Accept",
    "Answer",
    "Other",
    "Volcano",
}
"""Words of the operator's own that are no reasons."""

KUBERNETES = {
    "All", "Background", "ContainerCreating", "DeleteOptions", "Error", "False", "Lease", "None", "Normal", "PodGroup",
    "PodInitializing", "PodScheduled", "TerminationTarget", "True", "Unknown", "Warning",
}  # fmt: skip
"""Words of Kubernetes' that the operator reads or writes, but not as a reason."""


def words_of_the_operator() -> Iterator[str]:
    """Every CamelCase word in its code that is no name of a class there."""
    trees = [ast.parse(path.read_text()) for path in OPERATOR.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    own = {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    texts = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    yield from (text for text in texts if CAMEL_CASE.fullmatch(text) and text not in own)


def test_every_reason_that_the_operator_can_give_is_explained() -> None:
    reasons = set(words_of_the_operator()) - NO_REASONS - KUBERNETES
    assert {"BackoffLimitExceeded", "CreateFailed", "SpecInvalid", "Unschedulable", "Missing"} <= reasons
    assert sorted(reasons - {reason for _, reason in EXPLANATIONS} - set(CONDITIONS)) == []


def test_every_class_of_failures_is_explained_where_it_restarts_and_where_it_ends_the_job() -> None:
    for state in ("Restarting", "Failed"):
        assert {reason for of, reason in EXPLANATIONS if of == state} >= CLASSES


def test_nobody_is_told_to_wait_for_a_job_that_has_ended() -> None:
    for reason in ("Interrupted", "Infrastructure"):
        assert EXPLANATIONS["Restarting", reason].advice.startswith("Nothing: a new pod goes on from")
        assert EXPLANATIONS["Failed", reason].advice.startswith("A rule of faultTolerance.rules ends the job on this.")
    for reason in ("BadData", "Diverged"):
        assert EXPLANATIONS["Restarting", reason].advice.startswith("A rule of faultTolerance.rules starts it again;")
    assert not [entry for (state, _), entry in EXPLANATIONS.items() if state == "Failed" and "new pod" in entry.advice]


def test_every_state_of_the_operator_has_a_page() -> None:
    assert set(STATES) == set(OPERATOR_STATES)
    assert {state for state, _ in EXPLANATIONS} == set(STATES)
    assert [state for state in STATES if not (ROOT / page_of(state)).is_file()] == []


def test_the_docs_are_those_of_the_table() -> None:
    """`make reference` writes them."""
    folder = ROOT / "docs/states"
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict(pages())


def test_advice_is_whole_sentences_and_every_command_can_be_run() -> None:
    for (_, reason), entry in EXPLANATIONS.items():
        assert entry.meaning.endswith("."), reason
        assert entry.advice.endswith("."), reason
        words = entry.command.format_map(PLACES).split()
        assert words[0] == "kubectl", reason
        assert words[1] in {"describe", "get", "gmeta", "logs"}, reason
        assert words[1] != "gmeta" or words[2] in COMMANDS, reason


@pytest.mark.parametrize("state", [None, *STATES, "Melting"])
def test_an_unknown_reason_has_advice_all_the_same(state: str | None) -> None:
    found = explanation(state, "NeverHeardOf")
    assert found.meaning
    assert found.advice
    assert found.command.startswith("kubectl ")
    assert page_of(state) in {page_of(each) for each in STATES}


def test_a_reason_is_known_under_another_state_too() -> None:
    assert explanation("Running", "SpecInvalid") == EXPLANATIONS["Pending", "SpecInvalid"]
