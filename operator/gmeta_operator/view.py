"""What is known of a job when a decision is taken about its pods."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from gmeta_api.exit_codes import ExitCode
from gmeta_api.spec import MetaTrainingJob
from gmeta_operator.failures import Failure, failure_of
from gmeta_operator.history import History
from gmeta_operator.pods import COORDINATOR, PREPARE, PodFacts, Slot
from gmeta_operator.report import Report
from gmeta_operator.times import NEVER, Times
from gmeta_operator.trouble import Trouble
from gmeta_operator.waiting import Waiting


@dataclass(frozen=True)
class View:
    """What is known when a decision is taken.

    Attributes:
        job: the job.
        pods: its pods.
        history: what has happened to it so far.
        now: the time.
        report: what its coordinator said last.
        trouble: why a pod could not be made just now.
        times: when what began.
    """

    job: MetaTrainingJob
    pods: tuple[PodFacts, ...]
    history: History
    now: datetime
    report: Report | None = None
    trouble: Trouble | None = None
    times: Times = NEVER

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
        """The failures that nothing has been done about, the most telling first; of equals the earliest."""
        failed = [pod for pod in self.newest.values() if pod.phase == "Failed" or pod.lost(self.now)]
        return sorted((self._failure(pod) for pod in failed), key=_telling)

    @property
    def coordinator(self) -> PodFacts | None:
        """The coordinator's pod, if it runs or will run."""
        pod = self.newest.get(COORDINATOR)
        return pod if pod is not None and pod.alive(self.now) and pod.leaves_by is None else None

    @property
    def committed(self) -> int:
        """Step of the newest commit that is known; 0 before the first."""
        told = self.report.commit.step if self.report is not None and self.report.commit is not None else 0
        return max(told, self.history.committed)

    @property
    def told_end(self) -> bool:
        """Whether the coordinator has told how the attempt ends, and only has to end itself."""
        report = self.report
        told = report is not None and report.finished is not None and report.attempt == self.history.attempt
        return told and self.coordinator is not None

    @property
    def processes_leave(self) -> bool:
        """Whether the coordinator has told every process how the attempt ends, and has ended itself."""
        pod = self.newest.get(COORDINATOR)
        return pod is not None and pod.last_report is not None and pod.last_report.finished is not None

    def runs(self, pod: PodFacts | None) -> bool:
        """Whether a pod does its work, as far as is known; one that was lost with its node never says that it ended."""
        return pod is not None and pod.ready and pod.alive(self.now)

    def waiting(self, pod: PodFacts) -> Waiting | None:
        """Why a pod does not run yet, if that is known."""
        ignored = pod.unseen.overlooked(self.job.spec.scheduling, self.now) if pod.unseen is not None else None
        return pod.waiting or ignored

    def why_not(self, pod: PodFacts | None) -> tuple[str, str]:
        """Why a pod does not run, as reason and message."""
        if pod is None:
            return "Missing", "a pod has yet to be made"
        if pod.phase == "Succeeded":
            return "Completed", f"{pod.name} has done its work"
        if pod.phase == "Failed":
            return "Failed", f"{pod.name} has failed"
        if pod.leaves_by is not None:
            return "Terminating", f"{pod.name} is being deleted"
        waiting = self.waiting(pod)
        if waiting is not None:
            return waiting.reason, f"{pod.name}: {waiting.message or waiting.reason}"
        return "Pending", f"{pod.name} is pending"

    @property
    def next_overlooked(self) -> datetime | None:
        """When the next of the pods that no scheduler has looked at is taken for overlooked."""
        unseen = (pod.unseen for pod in self.newest.values() if pod.unseen is not None)
        dues = (each.overlooked_at(self.job.spec.scheduling) for each in unseen)
        return min((due for due in dues if due > self.now), default=None)

    def is_echo(self, failure: Failure) -> bool:
        """Whether a worker has failed because its coordinator had left or was replaced, which has its own price."""
        mine = self.coordinator is not None and self.coordinator.number <= failure.pod.number
        return failure.pod.role == "worker" and failure.pod.exit_code == ExitCode.COORDINATION and not mine

    def _failure(self, pod: PodFacts) -> Failure:
        failure = failure_of(pod, self.job.spec.fault_tolerance, self.now)
        uncounted = failure.action == "Restart" and self.is_echo(failure)
        return replace(failure, action="RestartUncounted") if uncounted else failure


def _telling(failure: Failure) -> tuple[bool, bool, bool, datetime]:
    return failure.action != "Fail", not failure.ends_attempt, failure.pod.slot == COORDINATOR, failure.at
