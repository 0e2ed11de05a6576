"""What should happen to a job's pods next. Pure: a function of what is observed and the time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from gmeta_api.failures import Action, FailureClass, action_for, classify
from gmeta_api.spec import FaultToleranceSpec, MetaTrainingJob
from gmeta_api.status import RestartCounts
from gmeta_operator.history import History
from gmeta_operator.pods import LOST_AFTER, PodFacts, Slot
from gmeta_operator.timestamps import to_text

MAX_DOUBLINGS = 30
COORDINATOR: Slot = ("coordinator", 0)
PREPARE: Slot = ("prepare", 0)


@dataclass(frozen=True)
class Start:
    """A pod to be made."""

    slot: Slot
    attempt: int
    restarts: RestartCounts


@dataclass(frozen=True)
class Failure:
    """A pod that has failed, what it was taken for and what is done about it."""

    pod: PodFacts
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
class End:
    """The end of the job."""

    succeeded: bool
    reason: str
    message: str


@dataclass(frozen=True)
class Decision:
    """What should happen.

    Attributes:
        start: pods to be made, in this order.
        stop: names of pods to be deleted.
        end: how the job has ended, if it has.
        failure: the failure that was decided about, if any.
        wake: when to look again if nothing happens until then.
    """

    start: tuple[Start, ...] = ()
    stop: tuple[str, ...] = ()
    end: End | None = None
    failure: Failure | None = None
    wake: datetime | None = None


@dataclass(frozen=True)
class View:
    """What is known when a decision is taken."""

    job: MetaTrainingJob
    pods: tuple[PodFacts, ...]
    history: History
    now: datetime

    @cached_property
    def workers(self) -> tuple[Slot, ...]:
        """The slots of the workers that the job should have."""
        return tuple(("worker", index) for index in range(self.job.spec.workers.replicas))

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The slots that should be filled now."""
        if self.job.spec.data.prepare is not None and not self.history.prepared:
            return (PREPARE,)
        return (COORDINATOR, *self.workers)

    @cached_property
    def newest(self) -> dict[Slot, PodFacts]:
        """The newest pod of the current attempt in each of those slots."""
        current = [pod for pod in self.pods if pod.attempt == self.history.attempt or pod.slot == PREPARE]
        ordered = sorted(current, key=lambda pod: pod.number)
        return {pod.slot: pod for pod in ordered if pod.slot in self.slots}

    @cached_property
    def failures(self) -> list[Failure]:
        """The failures that nothing has been done about, the most telling first."""
        rules = self.job.spec.fault_tolerance
        found = [_failure(pod, rules) for pod in self.newest.values() if pod.phase == "Failed" or pod.lost(self.now)]
        return sorted(found, key=lambda it: (it.action != "Fail", not it.ends_attempt, it.pod.slot == COORDINATOR))


def decide(view: View) -> Decision:
    """What should happen to the pods of a valid job that has not ended."""
    if view.job.spec.run_policy.suspend:
        return Decision(stop=tuple(pod.name for pod in view.pods if pod.alive(view.now) and pod.leaves_by is None))
    tidy = Decision(stop=tuple(_superseded(view)), wake=_next_loss(view.pods, view.now))
    coordinator = view.newest.get(COORDINATOR)
    if coordinator is not None and coordinator.phase == "Succeeded":
        return replace(tidy, end=End(True, "Completed", end_message(coordinator)))
    first = next(iter(view.failures), None)
    if first is not None and first.action == "Fail":
        return replace(tidy, failure=first, end=End(False, first.kind.name, str(first)))
    if _former_group_alive(view):
        return tidy
    return _restart_group(view, first, tidy) if first is not None and first.ends_attempt else _fill(view, tidy)


def end_message(coordinator: PodFacts) -> str:
    """How the coordinator says that the attempt has ended."""
    report = coordinator.last_report
    return report.finished.message if report is not None and report.finished is not None else "the job is complete"


def outlook(view: View, failure: Failure) -> str:
    """What comes after a failure that is not the end."""
    if failure.action == "RestartUncounted":
        return "starting again, not counted against faultTolerance.backoffLimit"
    limits, before = view.job.spec.fault_tolerance, view.history.restarts.counted
    return f"restart {before + 1} of {limits.backoff_limit} at {to_text(_due(view, failure, before))}"


def last_words(pod: PodFacts) -> str:
    """The end of what a pod has said, as the end of a sentence."""
    report = pod.last_report
    if report is not None:
        return f": {report.finished.message}" if report.finished else ""
    lines = (pod.message or "").strip().splitlines()
    return f": {lines[-1]}" if lines else ""


def _failure(pod: PodFacts, rules: FaultToleranceSpec) -> Failure:
    kind = classify(pod.exit_code, pod.reason)
    return Failure(pod, kind, action_for(pod.exit_code, pod.reason, kind, rules.rules))


def _superseded(view: View) -> Iterator[str]:
    """Running pods that have a successor or no place any more, and ended ones but the last: its log may be wanted."""
    for pod in view.pods:
        later = sum(other.slot == pod.slot and other.number > pod.number for other in view.pods)
        former = pod.attempt < view.history.attempt and pod.slot != PREPARE
        misplaced = former or (pod.role == "worker" and pod.slot[1] >= view.job.spec.workers.replicas)
        unwanted = pod.alive(view.now) and (later or misplaced)
        if pod.leaves_by is None and (unwanted or later > 1):
            yield pod.name


def _former_group_alive(view: View) -> bool:
    """Whether a former group has not left yet: two coordinators cannot hold one run folder."""
    former = (pod for pod in view.pods if pod.attempt < view.history.attempt and pod.slot != PREPARE)
    return any(pod.alive(view.now) for pod in former)


def _next_loss(pods: Iterable[PodFacts], now: datetime) -> datetime | None:
    """When the first of the pods that are being deleted will be taken for lost."""
    return min((pod.leaves_by + LOST_AFTER for pod in pods if pod.leaves_by and pod.alive(now)), default=None)


def _restart_group(view: View, failure: Failure, tidy: Decision) -> Decision:
    """Stop what is left of the attempt; once all has ended and the back-off is over, start the next one."""
    restarts, wait, end = _price(view, failure, view.history.restarts)
    alive = [pod for pod in view.pods if pod.alive(view.now) and pod.slot != PREPARE]
    stop = {*tidy.stop, *(pod.name for pod in alive if pod.leaves_by is None)}
    decision = replace(tidy, stop=tuple(sorted(stop)), failure=failure, end=end, wake=_earlier(tidy.wake, wait))
    if alive or wait or end:
        return decision
    attempt = view.history.attempt + 1
    return replace(decision, start=tuple(Start(slot, attempt, restarts) for slot in view.slots))


def _fill(view: View, tidy: Decision) -> Decision:
    """Fill each empty slot, and each whose pod has failed once its back-off is over."""
    decision, restarts = tidy, view.history.restarts
    failures = {failure.pod.slot: failure for failure in view.failures}
    for slot in view.slots:
        if slot in failures:
            failure = failures[slot]
            restarts, wait, end = _price(view, failure, restarts)
            decision = replace(decision, failure=failure, wake=_earlier(decision.wake, wait))
            if end:
                return replace(decision, end=end, start=())
            if wait:
                continue
        elif slot in view.newest:
            continue
        start = Start(slot, view.history.attempt, restarts)
        decision = replace(decision, start=(*decision.start, start))
    return decision


def _price(view: View, failure: Failure, before: RestartCounts) -> tuple[RestartCounts, datetime | None, End | None]:
    """What a restart costs: the counts after it, until when it has to wait, and the job's end if it is one too many."""
    limits = view.job.spec.fault_tolerance
    if failure.action == "RestartUncounted":
        return RestartCounts(counted=before.counted, uncounted=before.uncounted + 1), None, None
    counted = before.counted + 1
    if counted > limits.backoff_limit:
        message = f"{failure}; faultTolerance.backoffLimit of {limits.backoff_limit} restarts is reached"
        return before, None, End(False, "BackoffLimitExceeded", message)
    due = _due(view, failure, before.counted)
    return RestartCounts(counted=counted, uncounted=before.uncounted), due if due > view.now else None, None


def _due(view: View, failure: Failure, former: int) -> datetime:
    """When the restart after so many former ones is due: the wait doubles from one to the next."""
    limits = view.job.spec.fault_tolerance
    seconds = min(limits.max_backoff_seconds, limits.restart_backoff_seconds << min(former, MAX_DOUBLINGS))
    return (failure.pod.ended_at or failure.pod.leaves_by or view.now) + timedelta(seconds=seconds)


def _earlier(first: datetime | None, second: datetime | None) -> datetime | None:
    return min((moment for moment in (first, second) if moment), default=None)
