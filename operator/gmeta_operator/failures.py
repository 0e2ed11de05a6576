"""Pods that have failed: what they are taken for and what a restart costs."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gmeta_api.failures import Action, FailureClass, action_for, classify
from gmeta_api.spec import FaultToleranceSpec
from gmeta_api.status import RestartCounts
from gmeta_operator.pods import PREPARE, PodFacts
from gmeta_operator.timestamps import to_text

MAX_DOUBLINGS = 30


@dataclass(frozen=True)
class Failure:
    """A pod that has failed, when, what it was taken for and what is done about it."""

    pod: PodFacts
    at: datetime
    kind: FailureClass
    action: Action

    @property
    def ends_attempt(self) -> bool:
        """Whether the whole group starts again: the coordinator has been told of the end, and keeps to it."""
        if self.pod.slot == PREPARE:
            return False
        report = self.pod.last_report
        return self.kind.ends_attempt or (report is not None and report.finished is not None)

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
    kind = classify(pod.exit_code, pod.reason)
    action = action_for(pod.exit_code, pod.reason, kind, rules.rules)
    return Failure(pod, pod.ended_at or pod.leaves_by or now, kind, action)


def price(failure: Failure, limits: FaultToleranceSpec, before: RestartCounts) -> Price | None:
    """What the restart after a failure costs; None where it is one too many."""
    if failure.action == "RestartUncounted":
        return Price(one_uncounted(before))
    counted = before.counted + 1
    if counted > limits.backoff_limit:
        return None
    wait = timedelta(seconds=back_off(limits, before.counted))
    return Price(RestartCounts(counted=counted, uncounted=before.uncounted), failure.at + wait)


def outlook(failure: Failure, limits: FaultToleranceSpec, before: RestartCounts) -> str:
    """What comes after a failure, in words."""
    cost = price(failure, limits, before)
    if cost is None:
        return f"faultTolerance.backoffLimit of {limits.backoff_limit} restarts is reached"
    if cost.due is None:
        return "starting again, not counted against faultTolerance.backoffLimit"
    return f"restart {cost.restarts.counted} of {limits.backoff_limit} at {to_text(cost.due)}"


def one_uncounted(before: RestartCounts) -> RestartCounts:
    """The counts after a restart that costs nothing."""
    return RestartCounts(counted=before.counted, uncounted=before.uncounted + 1)


def back_off(limits: FaultToleranceSpec, former: int) -> int:
    """Seconds that a counted restart waits after so many former ones."""
    doublings = min(former, MAX_DOUBLINGS)
    return min(limits.max_backoff_seconds, limits.restart_backoff_seconds << doublings)


def last_words(pod: PodFacts) -> str:
    """The end of what a pod has said, as the end of a sentence."""
    report = pod.last_report
    if report is not None:
        return f": {report.finished.message}" if report.finished else ""
    lines = (pod.message or "").strip().splitlines()
    return f": {lines[-1]}" if lines else ""
