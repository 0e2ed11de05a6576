"""What happens to a job's pods on a cluster: they start, end, are lost, and the coordinator tells of the end."""

from collections.abc import Callable
from datetime import timedelta

from judge import Judge
from ledger import Fate
from simulated import GRACE, Server, ended

from gmeta_operator.report import Report, ReportedCommit, ReportedEnd, ReportedGoodput, ReportedProgress

LONGEST_GOODBYE = timedelta(seconds=5)


class ClusterLife:
    """The kubelet, the processes and the garbage collector.

    Attributes:
        lost: uids of pods whose node is gone: nothing is heard of them.
    """

    def __init__(self, server: Server, judge: Judge) -> None:
        self.server = server
        self.judge = judge
        self.lost: set[str] = set()
        self._steps = 0

    def names(self, which: Callable[[Fate], bool] = lambda fate: True) -> list[str]:
        """Pods that are there and whose node is."""
        fates = self.judge.ledger.fates
        there = [fates[pod["metadata"]["uid"]] for pod in self.server.live.values()]
        return sorted(fate.name for fate in there if fate.uid not in self.lost and which(fate))

    def processes(self) -> list[str]:
        """Pods whose container runs."""
        return [name for name in self.names() if self.server.live[name]["status"]["phase"] == "Running"]

    def go_on(self) -> None:
        """What was told to end does, the dataset is made, and what is pending begins."""
        self.leave()
        for name in self.processes():
            if "prepare" in name:
                self.end(name, 0)
        for name in self.names():
            if self.server.live[name]["status"]["phase"] == "Pending":
                self.server.start(name)

    def end(self, name: str, code: int) -> None:
        """A process ends; a coordinator that has told the end of the attempt keeps to it."""
        told = self._told(name)
        if told is not None and told.finished is not None:
            self.server.end(name, told.finished.exit_code, told.model_dump_json())
        else:
            self.server.end(name, code, "last words")

    def run_out_of_memory(self, name: str) -> None:
        self.server.end(name, 137, reason="OOMKilled")

    def leave(self) -> None:
        """Processes that were told to end some seconds ago do."""
        told = self.server.now + GRACE - LONGEST_GOODBYE
        for name in self.names(lambda fate: fate.leaves_by is not None and fate.leaves_by <= told):
            if not ended(self.server.live[name]):
                self.end(name, 143)
            self.server.remove(name)

    def lose_node(self, name: str) -> None:
        """The node of a pod is gone, and the pod deleted; it stays as it is until the node is back."""
        self.lost.add(self.server.live[name]["metadata"]["uid"])
        self.server.stop(name)

    def report(self, end: int | None) -> None:
        """The coordinator tells of progress or of the attempt's end, and ends if it has told that before."""
        for name in self.processes() if self.server.job else ():
            if "coordinator" in name:
                if self._told(name) is not None:
                    self.end(name, 0)
                else:
                    self.server.report = self._report(end)

    def _report(self, end: int | None) -> Report:
        attempt = self.judge.attempt
        self._steps += 1
        progress = ReportedProgress(
            epoch=0, step=self._steps, total_steps=100, samples=1, samples_per_second=1.0, tasks_per_second=1.0
        )
        outcome = "failed" if end else "succeeded"
        finished = None if end is None else ReportedEnd(outcome=outcome, message="it has ended", exit_code=end)
        self.server.committed = self._steps
        commit = ReportedCommit(attempt=attempt, step=self._steps, path=f"s{self._steps}")
        goodput = ReportedGoodput(
            training=end is None,
            productive_seconds=7.3 * self._steps,
            commit_seconds=0.17 * self._steps,
            rework_seconds=0.9 * self._steps,
            regroup_seconds=2.0 * self._steps,
        )
        return Report(attempt=attempt, progress=progress, commit=commit, goodput=goodput, finished=finished)

    def rest(self) -> None:
        """Nothing goes wrong: nodes are back, pods start, what was told to end does, orphans are collected."""
        self.lost.clear()
        self.server.collect_garbage()
        self.go_on()
        for name in self.processes():
            if self._told(name) is not None:
                self.end(name, 0)

    def _told(self, name: str) -> Report | None:
        """What the coordinator in that pod has told of the end of its attempt."""
        report = self.server.report
        fate = self.judge.ledger.fates[self.server.live[name]["metadata"]["uid"]]
        mine = report is not None and report.finished is not None and report.attempt == fate.attempt
        return report if mine and fate.slot[0] == "coordinator" else None
