"""`gmeta run` on one machine: starts the plan's processes, shows their progress, ends with the job's outcome."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

from rich.console import Console

from gmeta_api.errors import CoordinationError
from gmeta_api.exit_codes import ExitCode
from gmeta_api.failures import End, action_for
from gmeta_api.plan import Plan, Process
from gmeta_worker.coordination.client import AttemptEndedError, CoordinatorClient
from gmeta_worker.coordination.messages import Finish, Outcome
from gmeta_worker.coordination.status import Status
from gmeta_worker.local.children import STOP_SECONDS, Child, Children
from gmeta_worker.local.display import ProgressDisplay
from gmeta_worker.local.score_table import score_table

POLL_SECONDS = 0.25
REPORT_WAIT_SECONDS = 60.0
COORDINATOR_RESTARTS = 3

Watch = Callable[[Status], bool]
"""Hears of every status of a run; whether the run goes on."""


def watch_nothing(status: Status) -> bool:  # noqa: ARG001
    """Let a run go on to its end."""
    return True


class Supervisor:
    """Runs one plan to its end; locally it plays the operator's part.

    A coordinator that dies is started again, and no rank restarts for it. A worker that dies is started again too, as
    often as faultTolerance.backoffLimit allows; the others go on from the newest commit with it.

    Args:
        plan: what to run.
        address: of the plan's coordinator.
        folder: the run folder; logs go to its `logs/`.
        console: where progress is shown.
        watch: hears of every status, and may end the run as an interruption does.
    """

    def __init__(self, plan: Plan, address: str, folder: Path, console: Console, watch: Watch = watch_nothing) -> None:
        self._plan = plan
        self._client = CoordinatorClient(address, patience=10.0)
        self._folder = folder
        self._console = console
        self._watch = watch
        self._asked_to_stop = False
        self._coordinator_restarts = 0
        self._worker_restarts = 0
        self._status: Status | None = None

    def run(self) -> int:
        """Start, follow and stop the processes; the job's exit code."""
        with self._stopped_by_signals(), Children(self._folder / "logs") as children:
            coordinator = children.start(self._plan.coordinator)
            if not self._is_up(coordinator):
                return self._ended_early(coordinator)
            workers = [children.start(process) for process in self._plan.workers]
            with ProgressDisplay(self._console) as display:
                coordinator = self._follow(children, coordinator, workers, display)
            if self._asked_to_stop:
                self._finish("interrupted", self._interruption(), ExitCode.INTERRUPTED)
            coordinator.wait(REPORT_WAIT_SECONDS)
            return self._outcome(workers[0])

    @contextmanager
    def _stopped_by_signals(self) -> Iterator[None]:
        former = {number: signal.signal(number, self._ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the signature is Python's
        self._asked_to_stop = True

    def _is_up(self, coordinator: Child) -> bool:
        while coordinator.exit_code() is None:
            if self._client.try_status() is not None:
                return True
            time.sleep(POLL_SECONDS / 5)
        return False

    @property
    def _finished(self) -> bool:
        return self._status is not None and self._status.finished is not None

    def _follow(self, children: Children, coordinator: Child, workers: list[Child], display: ProgressDisplay) -> Child:
        """Show progress until every worker has ended for good; the coordinator of then."""
        told = False
        while True:
            if self._asked_to_stop and not told:
                told = True
                self._stop(workers)
            coordinator = self._revived(children, coordinator)
            self._look(display)
            workers[:] = map(partial(self._replaced, children), self._plan.workers, workers)
            if all(worker.exit_code() is not None for worker in workers):
                self._look(display)
                return coordinator
            time.sleep(POLL_SECONDS)

    def _look(self, display: ProgressDisplay) -> None:
        self._status = self._client.try_status() or self._status
        if self._status is not None:
            display.show(self._status)
            self._asked_to_stop |= not self._watch(self._status)

    def _stop(self, workers: list[Child]) -> None:
        self._console.print(f"Stopping: the ranks commit first (at most {STOP_SECONDS:.0f} s) …")
        for worker in workers:
            worker.stop()

    def _interruption(self) -> str:
        commit = self._status.commit if self._status else None
        return f"asked to stop; step {commit.step} is committed" if commit else "asked to stop before the first commit"

    def _revived(self, children: Children, coordinator: Child) -> Child:
        """The coordinator, started again if it has died before the end; it recovers from the run folder."""
        if coordinator.exit_code() is None or self._finished or self._coordinator_restarts == COORDINATOR_RESTARTS:
            return coordinator
        self._coordinator_restarts += 1
        self._console.print(f"The coordinator ended with exit code {coordinator.exit_code()}; starting it again.")
        return children.start(self._plan.coordinator)

    def _replaced(self, children: Children, process: Process, worker: Child) -> Child:
        """A worker, started again if it has died and the manifest allows it; otherwise the job ends with it."""
        code = worker.exit_code()
        if not code or self._finished or self._asked_to_stop:
            return worker
        rules = self._plan.document.spec.fault_tolerance
        action = action_for(End(code), rules.rules)
        self._worker_restarts += action == "Restart"
        if action == "Fail" or self._worker_restarts > rules.backoff_limit:
            self._finish("failed", self._crash(worker, code), code)
            return worker
        self._console.print(f"{worker.name} ended with exit code {code}; starting it again.", highlight=False)
        return children.start(process)

    def _crash(self, worker: Child, code: int) -> str:
        return (
            f"{worker.name} ended with exit code {code} without a word; its log is {worker.log}; "
            "go on from the last commit with --resume"
        )

    def _finish(self, outcome: Outcome, message: str, exit_code: int) -> None:
        """Tell the coordinator of an end that no rank could tell, so that the report has it."""
        attempt = self._plan.document.attempt
        try:
            self._client.finish(Finish(attempt=attempt, outcome=outcome, message=message, exit_code=exit_code))
        except AttemptEndedError:
            pass
        except CoordinationError as error:
            self._console.print(f"[red]{error}[/]", highlight=False)
        self._status = self._client.try_status() or self._status

    def _ended_early(self, child: Child) -> int:
        code = child.exit_code() or ExitCode.INTERNAL
        self._console.print(f"[red]{child.name} ended with exit code {code}:[/]", highlight=False)
        self._console.print(child.last_lines(), markup=False, highlight=False, soft_wrap=True)
        return code

    def _outcome(self, worker: Child) -> int:
        status = self._status
        if status is None or status.finished is None:
            return self._ended_early(worker)
        finished, evaluation = status.finished, status.last_evaluation
        if finished.outcome == "succeeded" and evaluation is not None:
            title = f"{evaluation.split}, weights of step {evaluation.step}"
            self._console.print(score_table(title, evaluation.rows))
        colour = {"succeeded": "green", "failed": "red"}.get(finished.outcome, "yellow")
        self._console.print(f"[{colour}]{finished.outcome}[/]: ", end="")
        self._console.print(finished.message, markup=False, highlight=False, soft_wrap=True)
        return finished.exit_code
