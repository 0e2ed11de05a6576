"""What the end of a pod means: the class of a failure and what is done about it by default.

The table of exit codes and pod reasons is here and nowhere else; docs/operator.md shows it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gmeta_api.cel import found
from gmeta_api.exit_codes import ExitCode
from gmeta_api.spec import FailureRuleSpec

Action = Literal["Restart", "RestartUncounted", "Fail"]

DISRUPTION = "DisruptionTarget"
"""The condition of a pod that is about to be ended for the cluster's sake: pre-emption, eviction, a tainted node."""


@dataclass(frozen=True)
class End:
    """How a process or its pod has ended.

    Attributes:
        exit_code: None where no process of the pod is known to have ended.
        reason: Kubernetes' reason, if it has one.
        message: last words of the process.
        conditions: conditions of the pod that are true.
        told: whether the pod was told to end.
    """

    exit_code: int | None
    reason: str | None = None
    message: str = ""
    conditions: frozenset[str] = frozenset()
    told: bool = False


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
INTERRUPTED = FailureClass("Interrupted", "RestartUncounted")
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
    ExitCode.INTERRUPTED: INTERRUPTED,
    126: FailureClass("BadCommand", "Fail"),
    127: FailureClass("BadCommand", "Fail"),
}
"""126 and 127 are what a container ends with whose command cannot be started."""

BY_REASON: dict[str, FailureClass] = {
    "OOMKilled": OUT_OF_MEMORY,
    **dict.fromkeys(("ContainerCannotRun", "StartError"), FailureClass("CannotStart", "Restart")),
    **dict.fromkeys(
        (
            "Evicted",
            "NodeAffinity",
            "NodeLost",
            "NodeShutdown",
            "PreemptedByKueue",
            "Preempting",
            "Shutdown",
            "Terminated",
            "UnexpectedAdmissionError",
        ),
        INFRASTRUCTURE,
    ),
}
"""Kubernetes' reasons that say more than the exit code does."""

NODE_FAULTS = frozenset({"Evicted", "NodeLost", "UnexpectedAdmissionError"})
"""Reasons that speak against the node. A shutdown or pre-emption does not, nor does a container that cannot be started:
a manifest's wrong command ends so on any node."""

SIGNALS = 128


def classify(end: End) -> FailureClass:
    """The class of an end."""
    if DISRUPTION in end.conditions:
        return INFRASTRUCTURE
    if end.reason in BY_REASON:
        return BY_REASON[end.reason]
    if end.exit_code is None:
        return INFRASTRUCTURE
    if end.exit_code in BY_EXIT_CODE:
        return BY_EXIT_CODE[end.exit_code]
    if end.exit_code <= SIGNALS:
        return UNKNOWN
    return INTERRUPTED if end.told else KILLED


def rule_for(end: End, rules: Iterable[FailureRuleSpec]) -> FailureRuleSpec | None:
    """The first rule of the manifest that matches an end."""
    return next((rule for rule in rules if _matches(rule, end)), None)


def action_for(end: End, rules: Iterable[FailureRuleSpec]) -> Action:
    """What is done about an end: what the first rule that matches says, else the default of its class."""
    rule = rule_for(end, rules)
    return classify(end).action if rule is None else rule.action


def _matches(rule: FailureRuleSpec, end: End) -> bool:
    """Whether all that a rule names is so."""
    return (
        (rule.exit_codes is None or end.exit_code in rule.exit_codes)
        and (rule.reasons is None or end.reason in rule.reasons)
        and (rule.conditions is None or not end.conditions.isdisjoint(rule.conditions))
        and (rule.message is None or found(rule.message, end.message))
    )
