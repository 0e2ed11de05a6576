"""`gmeta run` on one machine: starts the plan's processes, shows their progress, ends with the job's outcome."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from gmeta_api.errors import CoordinationError
from gmeta_api.exit_codes import ExitCode
from gmeta_api.plan import Plan
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.messages import Finish
from gmeta_worker.coordination.status import Status
from gmeta_worker.local.children import STOP_SECONDS, Child, Children
from gmeta_worker.local.display import ProgressDisplay
from gmeta_worker.local.score_table import score_table

POLL_SECONDS = 0.25
REPORT_WAIT_SECONDS = 60.0
COORDINATOR_RESTARTS = 3


class Supervisor:
    """Runs one plan to its end; locally it plays the operator's part.

    A coordinator that dies is started again, and no worker restarts for it. A worker that dies ends the run: its last
    commit is whole, and `gmeta run --resume` goes on from it.

    Args:
        plan: what to run.
        address: of the plan's coordinator.
        folder: the run folder; logs go to its `logs/`.
        console: where progress is shown.
    """

    def __init__(self, plan: Plan, address: str, folder: Path, console: Console) -> None:
        self._plan = plan
        self._client = CoordinatorClient(address, patience=10.0)
        self._folder = folder
        self._console = console
        self._asked_to_stop = False
        self._restarts = 0

    def run(self) -> int:
        """Start, follow and stop the processes; the job's exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask_to_stop)
        with Children(self._folder / "logs") as children:
            coordinator = children.start(self._plan.coordinator)
            if not self._is_up(coordinator):
                return self._ended_early(coordinator)
            workers = [children.start(worker) for worker in self._plan.workers]
            coordinator, status = self._follow(children, coordinator, workers)
            if status is None or status.finished is None:
                self._report_crash(workers)
                status = self._client.try_status() or status
            coordinator.wait(REPORT_WAIT_SECONDS)
            return self._outcome(status, workers)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the signature is Python's
        self._asked_to_stop = True

    def _is_up(self, coordinator: Child) -> bool:
        while coordinator.exit_code() is None:
            if self._client.try_status() is not None:
                return True
            time.sleep(POLL_SECONDS / 5)
        return False

    def _follow(self, children: Children, coordinator: Child, workers: Sequence[Child]) -> tuple[Child, Status | None]:
        """Show progress until every worker has ended: the coordinator of then, and the last status."""
        status: Status | None = None
        told = False
        with ProgressDisplay(self._console) as display:
            while any(worker.exit_code() is None for worker in workers):
                if self._asked_to_stop and not told:
                    told = True
                    self._stop(workers)
                coordinator = self._revived(children, coordinator, status)
                status = self._client.try_status() or status
                if status is not None:
                    display.show(status)
                time.sleep(POLL_SECONDS)
            status = self._client.try_status() or status
            if status is not None:
                display.show(status)
        return coordinator, status

    def _stop(self, workers: Sequence[Child]) -> None:
        self._console.print(f"Stopping: the worker commits first (at most {STOP_SECONDS:.0f} s) …")
        for worker in workers:
            worker.stop()

    def _revived(self, children: Children, coordinator: Child, status: Status | None) -> Child:
        """The coordinator, started again if it has died before the end; it recovers from the run folder."""
        ended = status is not None and status.finished is not None
        if coordinator.exit_code() is None or ended or self._restarts == COORDINATOR_RESTARTS:
            return coordinator
        self._restarts += 1
        self._console.print(f"The coordinator ended with exit code {coordinator.exit_code()}; starting it again.")
        return children.start(self._plan.coordinator)

    def _report_crash(self, workers: Sequence[Child]) -> None:
        """Tell the coordinator of a worker that ended without a word, so that the report has its outcome."""
        crashed = next(worker for worker in workers if worker.exit_code() is not None)
        code = crashed.exit_code() or ExitCode.INTERNAL
        finish = Finish(
            attempt=self._plan.document.attempt,
            outcome="failed",
            message=f"{crashed.name} ended with exit code {code} without a word; its log is {crashed.log}; "
            "go on from the last commit with --resume",
            exit_code=code,
        )
        try:
            self._client.finish(finish)
        except CoordinationError as error:
            self._console.print(f"[red]{error}[/]", highlight=False)

    def _ended_early(self, child: Child) -> int:
        code = child.exit_code() or ExitCode.INTERNAL
        self._console.print(f"[red]{child.name} ended with exit code {code}:[/]", highlight=False)
        self._console.print(child.last_lines(), markup=False, highlight=False, soft_wrap=True)
        return code

    def _outcome(self, status: Status | None, workers: Sequence[Child]) -> int:
        if status is None or status.finished is None:
            return self._ended_early(workers[0])
        finished, evaluation = status.finished, status.last_evaluation
        if finished.outcome == "succeeded" and evaluation is not None:
            title = f"{evaluation.split}, weights of step {evaluation.step}"
            self._console.print(score_table(title, evaluation.rows))
        colour = {"succeeded": "green", "failed": "red"}.get(finished.outcome, "yellow")
        self._console.print(f"[{colour}]{finished.outcome}[/]: ", end="")
        self._console.print(finished.message, markup=False, highlight=False, soft_wrap=True)
        return finished.exit_code
