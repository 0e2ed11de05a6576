"""What goes wrong outside of the plugin is told in one line, with exit code 1 and no traceback."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_kubectl import FakeKubectl

from gmeta_kubectl.kubectl import explain

NOT_FOUND = 'Error from server (NotFound): metatrainingjobs.gmeta.dev "movies" not found\n'
NO_CRD = 'error: the server doesn\'t have a resource type "metatrainingjobs"\n'
FORBIDDEN = (
    "Error from server (Forbidden): metatrainingjobs.gmeta.dev is forbidden: "
    'User "eve" cannot list resource "metatrainingjobs" in API group "gmeta.dev" in the namespace "team-a"\n'
)
REFUSED = "The connection to the server was refused\n"
COMMANDS = (
    ["why", "movies"],
    ["logs", "movies"],
    ["scale", "movies", "2"],
    ["suspend", "movies"],
    ["resume", "movies"],
    ["plan", "movies"],
)
NO_JOB = "there is no job 'movies' in this namespace; `kubectl gmeta status -A` lists the jobs of all"

Call = Callable[..., Any]


@pytest.mark.parametrize(
    ("stderr", "beginning"),
    [
        (NOT_FOUND, NO_JOB),
        (NO_CRD, "this cluster knows no metatrainingjobs.gmeta.dev: G-Meta is not installed there"),
        (FORBIDDEN, 'the cluster does not allow this: metatrainingjobs.gmeta.dev is forbidden: User "eve" cannot list'),
        (REFUSED, "`kubectl get metatrainingjobs.gmeta.dev movies -o json` has failed: The connection to the server"),
    ],
)
def test_one_clear_line(fake: FakeKubectl, call: Call, stderr: str, beginning: str) -> None:
    fake.answer("get", "metatrainingjobs.gmeta.dev", "movies", err=stderr)
    done = call("status", "movies")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"kubectl gmeta: {beginning}")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_tells_that_there_is_no_such_job(fake: FakeKubectl, call: Call, command: list[str]) -> None:
    fake.answer("get", "metatrainingjobs.gmeta.dev", "movies", err=NOT_FOUND)
    done = call(*command)
    assert (done.code, done.out, done.err) == (1, "", f"kubectl gmeta: {NO_JOB}\n")


def test_no_kubectl(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    done = call("status")
    assert (done.code, done.out) == (1, "")
    assert done.err == "kubectl gmeta: kubectl is not on PATH; install it: https://kubernetes.io/docs/tasks/tools/\n"


def test_a_command_that_says_nothing() -> None:
    assert explain("", "get pods") == "`kubectl get pods` has failed: it has said nothing"


@pytest.mark.parametrize("wrong", [[], ["stauts"], ["why"], ["scale", "movies"], ["plan"], ["status", "--colour"]])
def test_a_wrong_command_line(call: Call, wrong: list[str]) -> None:
    done = call(*wrong)
    assert done.code == 2
    assert done.err.startswith("usage: kubectl gmeta")


@pytest.mark.parametrize("command", ["status", "why", "logs", "scale", "suspend", "resume", "plan"])
def test_every_command_has_help_with_an_example(call: Call, command: str) -> None:
    done = call(command, "--help")
    assert done.code == 0
    assert f"Example: kubectl gmeta {command} " in " ".join(done.out.split())
