"""What should happen to a job's pods next. Pure: a function of what is observed and the time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from gmeta_api.status import RestartCounts
from gmeta_operator.deadlines import deadlines
from gmeta_operator.failures import Failure, one_too_many, one_uncounted, price
from gmeta_operator.pods import COORDINATOR, LOST_AFTER, PREPARE, PodFacts, Slot
from gmeta_operator.view import View


@dataclass(frozen=True)
class Start:
    """A pod to be made."""

    slot: Slot
    attempt: int
    restarts: RestartCounts


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
        stop: pods to be deleted.
        abandon: lost pods that nothing needs any more, to be deleted without waiting for their node.
        end: how the job has ended, if it has.
        failure: the failure that was decided about, if any.
        refused: the slot whose pod could not be made just now.
        wake: when to look again if nothing happens until then.
    """

    start: tuple[Start, ...] = ()
    stop: tuple[PodFacts, ...] = ()
    abandon: tuple[PodFacts, ...] = ()
    end: End | None = None
    failure: Failure | None = None
    refused: Slot | None = None
    wake: datetime | None = None


def decide(view: View) -> Decision:
    """What should happen to the pods of a valid job that has not ended."""
    if view.job.spec.run_policy.suspend:
        wake = next_loss(view.pods, view.now)
        return Decision(stop=tuple(_running(view)), abandon=lost_pods(view.pods, view.now), wake=wake)
    tidy = _tidy(view)
    coordinator = view.newest.get(COORDINATOR)
    if coordinator is not None and coordinator.phase == "Succeeded":
        return replace(tidy, end=End(True, "Completed", end_message(coordinator)))
    first = next(iter(view.failures), None)
    if first is not None and first.action == "Fail":
        return replace(tidy, failure=first, end=End(False, first.kind.name, str(first)))
    missed = next((deadline for deadline in deadlines(view) if deadline.at <= view.now), None)
    if missed is not None:
        return replace(tidy, end=End(False, missed.reason, missed.message))
    if view.told_end or _former_group_alive(view):
        return tidy
    return _restart_group(view, first, tidy) if first is not None and first.ends_attempt else _fill(view, tidy)


def after_refusal(decision: Decision) -> Decision:
    """The decision of a pass that was refused a request: pods are made in order, so the first one left was refused."""
    refused = decision.start[0].slot if decision.start else None
    return replace(decision, start=(), refused=refused)


def end_message(coordinator: PodFacts) -> str:
    """How the coordinator says that the attempt has ended."""
    report = coordinator.last_report
    return report.finished.message if report is not None and report.finished is not None else "the job is complete"


def _running(view: View) -> Iterator[PodFacts]:
    """Pods that have not been told to end yet."""
    return (pod for pod in view.pods if pod.alive(view.now) and pod.leaves_by is None)


def _tidy(view: View) -> Decision:
    """What has to go in any case, and when to look again."""
    moments = (deadline.at for deadline in deadlines(view))
    lost = lost_pods(view.pods, view.now)
    return Decision(
        stop=tuple(_superseded(view)),
        abandon=tuple(pod for pod in lost if _successors(view, pod) or _misplaced(view, pod)),
        wake=_earliest(next_loss(view.pods, view.now), *moments),
    )


def _superseded(view: View) -> Iterator[PodFacts]:
    """Running pods that have a successor or no place any more, and ended ones but the last: its log may be wanted."""
    for pod in view.pods:
        later = _successors(view, pod)
        unwanted = pod.alive(view.now) and (later or _misplaced(view, pod))
        if pod.leaves_by is None and (unwanted or later > 1):
            yield pod


def _successors(view: View, pod: PodFacts) -> int:
    return sum(other.slot == pod.slot and other.number > pod.number for other in view.pods)


def _misplaced(view: View, pod: PodFacts) -> bool:
    """Whether a pod is of a former attempt, or the job has been scaled down below it."""
    former = pod.attempt < view.history.attempt and pod.slot != PREPARE
    return former or (pod.role == "worker" and pod.slot[1] >= view.job.spec.workers.replicas)


def lost_pods(pods: Iterable[PodFacts], now: datetime) -> tuple[PodFacts, ...]:
    """The pods whose node is gone: they stay until it is back, unless they are deleted by force."""
    return tuple(pod for pod in pods if pod.lost(now))


def _former_group_alive(view: View) -> bool:
    """Whether a former group has not left yet: two coordinators cannot hold one run folder."""
    former = (pod for pod in view.pods if pod.attempt < view.history.attempt and pod.slot != PREPARE)
    return any(pod.alive(view.now) for pod in former)


def next_loss(pods: Iterable[PodFacts], now: datetime) -> datetime | None:
    """When the first of the pods that are being deleted will be taken for lost."""
    return min((pod.leaves_by + LOST_AFTER for pod in pods if pod.leaves_by and pod.alive(now)), default=None)


def _restart_group(view: View, failure: Failure, tidy: Decision) -> Decision:
    """Stop what is left of the attempt; once all has ended and the back-off is over, start the next one."""
    stop = {pod.name: pod for pod in (*tidy.stop, *_running(view)) if pod.slot != PREPARE}
    decision = replace(tidy, stop=tuple(stop.values()), failure=failure)
    cost = price(failure, view.job.spec.fault_tolerance, view.history.restarts, view.committed)
    if cost is None:
        return replace(decision, end=_one_too_many(view, failure))
    if cost.due is not None and cost.due > view.now:
        return replace(decision, wake=_earliest(tidy.wake, cost.due))
    if any(pod.alive(view.now) for pod in view.pods if pod.slot != PREPARE):
        return decision
    attempt = view.history.attempt + 1
    return replace(decision, start=tuple(Start(slot, attempt, cost.restarts) for slot in view.slots))


def _fill(view: View, tidy: Decision) -> Decision:
    """Fill each empty slot, and each whose pod has failed once its back-off is over."""
    decision, restarts = tidy, view.history.restarts
    failures = {failure.pod.slot: failure for failure in view.failures}
    for slot in view.slots:
        if slot in failures:
            decision = _replace(view, failures[slot], decision, restarts)
        elif slot not in view.newest:
            counts = one_uncounted(restarts) if view.history.started else restarts
            decision = _with_start(decision, Start(slot, view.history.attempt, counts))
        if decision.end is not None:
            return decision
        restarts = decision.start[-1].restarts if decision.start else restarts
    return decision


def _replace(view: View, failure: Failure, decision: Decision, restarts: RestartCounts) -> Decision:
    """Replace a pod that has failed, once that is due."""
    if view.is_echo(failure) and view.coordinator is None and not _starts_coordinator(decision):
        return decision
    decision = replace(decision, failure=failure)
    cost = price(failure, view.job.spec.fault_tolerance, restarts, view.committed)
    if cost is None:
        return replace(decision, end=_one_too_many(view, failure), start=())
    if cost.due is not None and cost.due > view.now:
        return replace(decision, wake=_earliest(decision.wake, cost.due))
    return _with_start(decision, Start(failure.pod.slot, view.history.attempt, cost.restarts))


def _with_start(decision: Decision, start: Start) -> Decision:
    return replace(decision, start=(*decision.start, start))


def _starts_coordinator(decision: Decision) -> bool:
    return any(start.slot == COORDINATOR for start in decision.start)


def _one_too_many(view: View, failure: Failure) -> End:
    return End(False, "BackoffLimitExceeded", f"{failure}; {one_too_many(view.job.spec.fault_tolerance)}")


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment), default=None)
