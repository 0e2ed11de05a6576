"""`gmeta run` on one machine: starts the plan's processes, shows their progress, ends with the job's outcome."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from gmeta_api.exit_codes import ExitCode
from gmeta_api.plan import Plan
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.messages import Finish
from gmeta_worker.coordination.status import Status
from gmeta_worker.local.children import STOP_SECONDS, Child, Children
from gmeta_worker.local.display import ProgressDisplay

POLL_SECONDS = 0.25
REPORT_WAIT_SECONDS = 60.0


class Supervisor:
    """Runs one plan to its end.

    Args:
        plan: what to run.
        coordinator: address of the plan's coordinator.
        folder: the run folder; logs go to its `logs/`.
        console: where progress is shown.
    """

    def __init__(self, plan: Plan, coordinator: str, folder: Path, console: Console) -> None:
        self._plan = plan
        self._client = CoordinatorClient(coordinator)
        self._folder = folder
        self._console = console
        self._stopping = False

    def run(self) -> int:
        """Start, follow and stop the processes; the job's exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask_to_stop)
        with Children(self._folder / "logs") as children:
            coordinator = children.start(self._plan.coordinator)
            if not self._wait_until_up(coordinator):
                return self._failed(coordinator)
            workers = [children.start(worker) for worker in self._plan.workers]
            status = self._follow(workers)
            failed = next((worker for worker in workers if worker.exit_code() not in (0, None)), None)
            if failed is not None and (status is None or status.finished is None):
                self._report_crash(failed)
                coordinator.wait(REPORT_WAIT_SECONDS)
                return self._failed(failed)
            coordinator.wait(REPORT_WAIT_SECONDS)
            return self._outcome(status, workers)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the signature is Python's
        self._stopping = True

    def _wait_until_up(self, coordinator: Child) -> bool:
        while coordinator.exit_code() is None:
            if self._client.try_status() is not None:
                return True
            time.sleep(POLL_SECONDS / 5)
        return False

    def _follow(self, workers: Sequence[Child]) -> Status | None:
        """Show progress until every worker has ended; the last status seen."""
        status: Status | None = None
        told = False
        with ProgressDisplay(self._console) as display:
            while any(worker.exit_code() is None for worker in workers):
                if self._stopping and not told:
                    told = True
                    self._console.print(f"Stopping: the worker commits first (at most {STOP_SECONDS:.0f} s) …")
                    for worker in workers:
                        worker.stop()
                status = self._client.try_status() or status
                if status is not None:
                    display.show(status)
                time.sleep(POLL_SECONDS)
            status = self._client.try_status() or status
            if status is not None:
                display.show(status)
        return status

    def _report_crash(self, worker: Child) -> None:
        code = worker.exit_code() or ExitCode.INTERNAL
        self._client.finish(
            Finish(
                attempt=self._plan.document.attempt,
                outcome="failed",
                message=f"{worker.name} ended with exit code {code} without a word; see {worker.log}",
                exit_code=code,
            )
        )

    def _failed(self, child: Child) -> int:
        code = child.exit_code() or ExitCode.INTERNAL
        self._console.print(
            f"[red]{child.name} ended with exit code {code}.[/] The end of {child.log}:", highlight=False
        )
        self._console.print(child.last_lines(), markup=False, highlight=False)
        return code

    def _outcome(self, status: Status | None, workers: Sequence[Child]) -> int:
        if status is None or status.finished is None:
            return max((worker.exit_code() or 0 for worker in workers), default=ExitCode.INTERNAL)
        finished = status.finished
        colour = (
            "green" if finished.exit_code == ExitCode.OK else "yellow" if finished.outcome == "interrupted" else "red"
        )
        self._console.print(f"[{colour}]{finished.outcome}[/]: ", end="")
        self._console.print(finished.message, markup=False, highlight=False)
        return finished.exit_code
