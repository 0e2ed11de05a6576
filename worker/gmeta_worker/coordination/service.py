"""The coordinator process: serves a job from its first worker to its end."""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from aiohttp import web

from gmeta_api.document import JobDocument
from gmeta_api.errors import CoordinationError, GMetaError
from gmeta_api.exit_codes import ExitCode
from gmeta_worker.checkpoint.object_path import Folder
from gmeta_worker.coordination.events import Event
from gmeta_worker.coordination.job import Job, open_job
from gmeta_worker.coordination.last_words import to_last_words
from gmeta_worker.coordination.rules import WatchedRules
from gmeta_worker.coordination.server import Server

DRAIN_SECONDS = 20.0
"""Longest wait for the workers' last commit after a signal."""
GOODBYE_SECONDS = 3.0
"""Longest wait for the workers to hear that the attempt has ended, and to leave."""

ReportWriter = Callable[[Folder, JobDocument, Sequence[Event]], object]
Follower = Callable[[Folder, JobDocument, Sequence[Event]], Callable[[Event], None]]

log = logging.getLogger(__name__)


def run_coordinator(
    document: JobDocument,
    host: str,
    port: int,
    run_folder: Folder,
    write_report: ReportWriter,
    last_words: Path | None = None,
    job_file: Path | None = None,
    follow: Follower | None = None,
) -> ExitCode:
    """Serve until the attempt has ended, then write the report.

    The first SIGTERM or SIGINT lets workers that are still running commit and leave, for at most 20 seconds; the
    second one ends the process at once. A killed coordinator that is started again goes on from the run folder.

    Args:
        document: the job.
        host: address to listen on.
        port: port to listen on.
        run_folder: the job's folder on the checkpoint volume.
        write_report: writes the report from (run folder, document, events); called once, while status is still served.
        last_words: file for how the attempt ended, which its pod's status then shows.
        job_file: file of the job document, whose numbers of workers are read again while workers join.
        follow: is given (run folder, document, events so far); what it returns is called with every further event.

    Returns:
        The exit code that the end of the attempt was told with; INTERRUPTED if a signal came first.

    Raises:
        CoordinationError: the address is taken, another coordinator holds the run folder, or its events are damaged.
        CheckpointError: the run folder belongs to a newer attempt or to another job, or cannot be written.
    """
    with open_job(document, run_folder, WatchedRules(document, job_file)) as job:
        if follow:
            job.listen(follow(run_folder, document, job.events))
        asyncio.run(_serve(job, host, port, lambda: write_report(run_folder, document, job.events)))
        finished = job.state.finished
        if finished and last_words:
            last_words.write_text(to_last_words(job.status()))
        return _exit_code(finished.exit_code) if finished else ExitCode.INTERRUPTED


def _exit_code(code: int) -> ExitCode:
    """Return the exit code a member ended with; INTERNAL for one that is not ours, like that of a killed process."""
    return ExitCode(code) if code in list(ExitCode) else ExitCode.INTERNAL


async def _serve(job: Job, host: str, port: int, write_report: Callable[[], object]) -> None:
    ending = _Ending(job)
    runner = web.AppRunner(Server(job, ending.look).application(), access_log=None)
    await runner.setup()
    try:
        await _listen(runner, host, port)
        ending.look()
        await ending.reached.wait()
        await asyncio.to_thread(_report, write_report)
    finally:
        await runner.cleanup()


class _Ending:
    """Waits for the end of the attempt or a signal, and then for a while until the workers have gone.

    The first signal lets them commit; the second one ends the process at once.
    """

    def __init__(self, job: Job) -> None:
        self.reached = asyncio.Event()
        self._job = job
        self._loop = asyncio.get_running_loop()
        self._waiting = False
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._signal)

    def look(self) -> None:
        """Look whether it is time; called after every message."""
        state = self._job.state
        if not (state.finished or self._asked):
            return
        if not state.membership.anybody:
            self.reached.set()
        elif state.finished:
            self._within(GOODBYE_SECONDS)

    def _signal(self) -> None:
        if self._asked:
            self.reached.set()
            return
        self._asked = True
        log.info("asked to stop: waiting at most %.0f s for the workers' last commit", DRAIN_SECONDS)
        self._loop.call_later(DRAIN_SECONDS, self.reached.set)
        self.look()

    def _within(self, seconds: float) -> None:
        if not self._waiting:
            self._waiting = True
            self._loop.call_later(seconds, self.reached.set)


def _report(write_report: Callable[[], object]) -> None:
    """Write the report; what the job has achieved does not depend on it."""
    try:
        write_report()
    except GMetaError as error:
        log.error("no report: %s", error)  # noqa: TRY400  # the message is the whole story


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise CoordinationError(
            f"{host}:{port}: the coordinator cannot listen there ({error.strerror}); "
            "stop what uses the port, or give the coordinator another one"
        ) from error
