"""What the end of a pod means: the class of a failure and what is done about it by default.

The table of exit codes and pod reasons is here and nowhere else; docs/operator.md shows it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gmeta_api.exit_codes import ExitCode
from gmeta_api.spec import FailureRuleSpec

Action = Literal["Restart", "RestartUncounted", "Fail"]


@dataclass(frozen=True)
class FailureClass:
    """A kind of failure.

    Attributes:
        name: CamelCase word, shown as `status.lastFailure.class`.
        action: what is done where no rule of the manifest matches.
        ends_attempt: whether the whole group starts again from a commit, not only the pod that failed: the worker has
            told the coordinator of its end, and the coordinator ends with it.
    """

    name: str
    action: Action
    ends_attempt: bool = False


INFRASTRUCTURE = FailureClass("Infrastructure", "RestartUncounted")
OUT_OF_MEMORY = FailureClass("OutOfMemory", "Restart")
KILLED = FailureClass("Killed", "Restart")
UNKNOWN = FailureClass("Unknown", "Restart")

BY_EXIT_CODE: dict[int, FailureClass] = {
    ExitCode.INTERNAL: FailureClass("Internal", "Restart"),
    ExitCode.USAGE: FailureClass("BadCommand", "Fail"),
    ExitCode.MANIFEST: FailureClass("InvalidManifest", "Fail"),
    ExitCode.DATA: FailureClass("BadData", "Fail"),
    ExitCode.MODEL: FailureClass("BadModel", "Fail"),
    ExitCode.CHECKPOINT: FailureClass("CheckpointLost", "Restart", ends_attempt=True),
    ExitCode.COORDINATION: FailureClass("CoordinationLost", "Restart"),
    ExitCode.DIVERGED: FailureClass("Diverged", "Fail"),
    ExitCode.INTERRUPTED: FailureClass("Interrupted", "RestartUncounted"),
    126: FailureClass("BadCommand", "Fail"),
    127: FailureClass("BadCommand", "Fail"),
}
"""126 and 127 are what a container ends with whose command cannot be started."""

BY_REASON: dict[str, FailureClass] = {
    "OOMKilled": OUT_OF_MEMORY,
    **dict.fromkeys(("ContainerCannotRun", "StartError"), FailureClass("CannotStart", "Restart")),
    **dict.fromkeys(
        ("Evicted", "NodeAffinity", "NodeLost", "NodeShutdown", "PreemptedByKueue", "Preempting", "Terminated"),
        INFRASTRUCTURE,
    ),
}
"""Kubernetes' reasons that say more than the exit code does."""

SIGNALS = 128


def classify(exit_code: int | None, reason: str | None) -> FailureClass:
    """The class of a pod's end; `exit_code` is None where no process of it is known to have ended."""
    if reason in BY_REASON:
        return BY_REASON[reason]
    if exit_code is None:
        return INFRASTRUCTURE
    if exit_code in BY_EXIT_CODE:
        return BY_EXIT_CODE[exit_code]
    return KILLED if exit_code > SIGNALS else UNKNOWN


def action_for(
    exit_code: int | None, reason: str | None, failure: FailureClass, rules: Iterable[FailureRuleSpec]
) -> Action:
    """What is done about a failure: the first rule of the manifest that matches, else the default of its class."""
    return next((rule.action for rule in rules if _matches(rule, exit_code, reason)), failure.action)


def _matches(rule: FailureRuleSpec, exit_code: int | None, reason: str | None) -> bool:
    by_code = rule.exit_codes is None or exit_code in rule.exit_codes
    by_reason = rule.reasons is None or reason in rule.reasons
    return by_code and by_reason
