"""The user's own kubectl: contexts, credentials and plugins of it just work. The only module that starts a process."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from gmeta_api.crd import PLURAL
from gmeta_api.errors import GMetaError
from gmeta_api.objects import JOB_LABEL
from gmeta_api.spec import GROUP

RESOURCE = f"{PLURAL}.{GROUP}"

Object = Mapping[str, Any]
"""What the API server has, as plain JSON values."""

MISSING = "kubectl is not on PATH; install it: https://kubernetes.io/docs/tasks/tools/"
NOT_INSTALLED = (
    f"this cluster knows no {RESOURCE}: G-Meta is not installed there (docs/install.md), or it is not the cluster that "
    "you mean (`kubectl config current-context`)"
)


class KubectlError(GMetaError):
    """A command of kubectl has failed, or what it should tell of is not there."""


@dataclass(frozen=True)
class Kubectl:
    """Runs kubectl.

    Attributes:
        flags: what the user has given for kubectl, such as `--context=prod`.
        namespace: that the user has named; None for the one of the context.
    """

    flags: tuple[str, ...] = ()
    namespace: str | None = None

    def run(self, *arguments: str) -> str:
        """Run a command; its output.

        Raises:
            KubectlError: it has failed.
        """
        command = ["kubectl", *arguments, *self._flags]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # the user's own
        except FileNotFoundError as error:
            raise KubectlError(MISSING) from error
        if done.returncode:
            raise KubectlError(explain(done.stderr, " ".join(arguments)))
        return done.stdout

    def become(self, *arguments: str) -> NoReturn:
        """Go on as a command of kubectl: its output, signals and exit code are this process's."""
        sys.stdout.flush()
        try:
            os.execvp("kubectl", ["kubectl", *arguments, *self._flags])  # noqa: S606, S607  # the user's own
        except FileNotFoundError as error:
            raise KubectlError(MISSING) from error

    def get(self, *arguments: str) -> Object:
        """`kubectl get` as JSON values."""
        found: Object = json.loads(self.run("get", *arguments, "-o", "json"))
        return found

    def jobs(self, *, everywhere: bool) -> list[Object]:
        """The jobs of the namespace, or of all."""
        return list(self.get(RESOURCE, *(["--all-namespaces"] if everywhere else []))["items"])

    def job(self, name: str) -> Object:
        """A job."""
        return self.get(RESOURCE, name)

    def pods(self, job: str) -> list[Object]:
        """The pods of a job."""
        return list(self.get("pods", "-l", f"{JOB_LABEL}={job}")["items"])

    def events(self, name: str) -> list[Object]:
        """The events about the objects of a name."""
        return list(self.get("events", "--field-selector", f"involvedObject.name={name}")["items"])

    def current_namespace(self) -> str:
        """The namespace that commands are about."""
        if self.namespace is not None:
            return self.namespace
        return self.run("config", "view", "--minify", "-o", "jsonpath={..namespace}") or "default"

    @property
    def _flags(self) -> tuple[str, ...]:
        return (*self.flags, *(() if self.namespace is None else (f"--namespace={self.namespace}",)))


def explain(stderr: str, command: str) -> str:
    """What is told of a failed command of kubectl: one line, with what to do where that is known."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    words = lines[-1].strip() if lines else "it has said nothing"
    if found := re.search(rf'\(NotFound\): {re.escape(RESOURCE)} "([^"]*)" not found', words):
        return f"there is no job {found[1]!r} in this namespace; `kubectl gmeta status -A` lists the jobs of all"
    if f'resource type "{PLURAL}"' in words:
        return NOT_INSTALLED
    if "(Forbidden)" in words:
        denied = words.partition("(Forbidden): ")[2]
        return f"the cluster does not allow this: {denied}; the roles view and edit of a namespace include it"
    return f"`kubectl {command}` has failed: {words.removeprefix('error: ')}"
