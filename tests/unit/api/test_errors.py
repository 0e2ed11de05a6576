"""Errors carry their whole message and the exit code that the operator's rules are written for."""

import pytest

from gmeta_api import errors
from gmeta_api.exit_codes import ExitCode


def test_the_exit_codes_are_an_interface() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "INTERNAL": 1,
        "USAGE": 2,
        "MANIFEST": 64,
        "DATA": 65,
        "MODEL": 66,
        "CHECKPOINT": 67,
        "COORDINATION": 68,
        "DIVERGED": 69,
        "INTERRUPTED": 143,
    }


def test_only_what_may_pass_by_itself_is_retryable() -> None:
    assert {code.name for code in ExitCode if code.retryable} == {
        "INTERNAL",
        "CHECKPOINT",
        "COORDINATION",
        "INTERRUPTED",
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.DataError, ExitCode.DATA),
        (errors.ModelError, ExitCode.MODEL),
        (errors.CheckpointError, ExitCode.CHECKPOINT),
        (errors.CoordinationError, ExitCode.COORDINATION),
        (errors.DivergedError, ExitCode.DIVERGED),
    ],
)
def test_an_error_is_its_message_and_its_code(error: type[errors.GMetaError], code: ExitCode) -> None:
    assert str(error("a: expected b")) == "a: expected b"
    assert error.exit_code is code


def test_a_manifest_error_has_a_line_for_each_problem() -> None:
    problems = (errors.Problem("spec.b", "expected x"), errors.Problem("spec.a", "expected y"))
    error = errors.ManifestError(iter(problems))
    assert str(error) == "spec.b: expected x\nspec.a: expected y"
    assert (error.problems, error.exit_code) == (problems, ExitCode.MANIFEST)
