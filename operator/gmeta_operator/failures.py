"""Pods that have failed: what they are taken for and what a restart costs."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gmeta_api.failures import NODE_FAULTS, Action, FailureClass, action_for, classify, rule_for
from gmeta_api.spec import FaultToleranceSpec
from gmeta_api.status import RestartCounts
from gmeta_operator.pods import PREPARE, PodFacts
from gmeta_operator.timestamps import to_text

MAX_DOUBLINGS = 30


@dataclass(frozen=True)
class Failure:
    """A pod that has failed, when, what it was taken for, what is done about it and the rule that says so, if any."""

    pod: PodFacts
    at: datetime
    kind: FailureClass
    action: Action
    rule: str | None = None

    @property
    def ends_attempt(self) -> bool:
        """Whether the whole group starts again: the coordinator has been told of the end, and keeps to it."""
        if self.pod.slot == PREPARE:
            return False
        report = self.pod.last_report
        return self.kind.ends_attempt or (report is not None and report.finished is not None)

    @property
    def node_fault(self) -> str | None:
        """What is held against the pod's node, if anything."""
        if self.pod.reason in NODE_FAULTS:
            return self.pod.reason
        return "NodeLost" if not self.pod.ended else None

    def __str__(self) -> str:
        ended = "was lost" if self.pod.exit_code is None else f"ended with exit code {self.pod.exit_code}"
        reason = f", {self.pod.reason}" if self.pod.reason else ""
        return f"{self.pod.name} {ended} ({self.kind.name}{reason}){last_words(self.pod)}"


@dataclass(frozen=True)
class Price:
    """What a restart costs.

    Attributes:
        restarts: the counts after it.
        due: until when it has to wait, if it has to.
    """

    restarts: RestartCounts
    due: datetime | None = None


def failure_of(pod: PodFacts, rules: FaultToleranceSpec, now: datetime) -> Failure:
    """The failure of a pod that has failed or was lost."""
    rule = rule_for(pod.end, rules.rules)
    at = pod.ended_at or pod.leaves_by or now
    return Failure(pod, at, classify(pod.end), action_for(pod.end, rules.rules), rule.name if rule else None)


def price(failure: Failure, limits: FaultToleranceSpec, before: RestartCounts, step: int) -> Price | None:
    """What the restart after a failure costs; None where it is one too many.

    Args:
        failure: the failure.
        limits: what the manifest allows.
        before: the counts so far.
        step: of the newest commit. One that is newer than at the last counted restart is progress: the back-off begins
            anew, and so does the budget.
    """
    if failure.action == "RestartUncounted":
        return Price(one_uncounted(before))
    futile = before.without_progress if step <= before.at_step else 0
    if futile >= limits.backoff_limit:
        return None
    changes = {"counted": before.counted + 1, "without_progress": futile + 1, "at_step": step}
    wait = timedelta(seconds=back_off(limits, futile))
    return Price(before.model_copy(update=changes), failure.at + wait)


def outlook(failure: Failure, limits: FaultToleranceSpec, before: RestartCounts, step: int) -> str:
    """What comes after a failure, in words."""
    cost = price(failure, limits, before, step)
    if cost is None:
        return one_too_many(limits)
    if cost.due is None:
        return "starting again, not counted against faultTolerance.backoffLimit"
    return f"restart {cost.restarts.without_progress} of {limits.backoff_limit} at {to_text(cost.due)}"


def one_too_many(limits: FaultToleranceSpec) -> str:
    """Why there is no further restart."""
    return f"faultTolerance.backoffLimit of {limits.backoff_limit} restarts without a new commit is reached"


def one_uncounted(before: RestartCounts) -> RestartCounts:
    """The counts after a restart that costs nothing."""
    return before.model_copy(update={"uncounted": before.uncounted + 1})


def back_off(limits: FaultToleranceSpec, former: int) -> int:
    """Seconds that a counted restart waits after so many former ones without progress."""
    doublings = min(former, MAX_DOUBLINGS)
    return min(limits.max_backoff_seconds, limits.restart_backoff_seconds << doublings)


def last_words(pod: PodFacts) -> str:
    """The end of what a pod has said, as the end of a sentence."""
    report = pod.last_report
    if report is not None:
        return f": {report.finished.message}" if report.finished else ""
    lines = (pod.message or "").strip().splitlines()
    return f": {lines[-1]}" if lines else ""
