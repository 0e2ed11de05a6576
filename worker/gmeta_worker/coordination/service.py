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
from gmeta_worker.coordination.events import Event
from gmeta_worker.coordination.job import Job, open_job
from gmeta_worker.coordination.last_words import to_last_words
from gmeta_worker.coordination.server import Server

DRAIN_SECONDS = 20.0

ReportWriter = Callable[[Path, JobDocument, Sequence[Event]], object]

log = logging.getLogger(__name__)


def run_coordinator(
    document: JobDocument,
    host: str,
    port: int,
    run_folder: Path,
    write_report: ReportWriter,
    last_words: Path | None = None,
) -> ExitCode:
    """Serve until the attempt has ended, then write the report.

    The first SIGTERM or SIGINT lets a worker that is still running commit and say goodbye, for at most 20 seconds; the
    second one ends the process at once. A killed coordinator that is started again goes on from the run folder.

    Args:
        document: the job.
        host: address to listen on.
        port: port to listen on.
        run_folder: the job's folder on the checkpoint volume.
        write_report: writes the report from (run folder, document, events); called once, while status is still served.
        last_words: file for how the attempt ended, which its pod's status then shows.

    Returns:
        The exit code that the end of the attempt was told with; INTERRUPTED if a signal came first.

    Raises:
        CoordinationError: the address is taken, another coordinator holds the run folder, or its events are damaged.
        CheckpointError: the run folder belongs to a newer attempt or to another job, or cannot be written.
    """
    with open_job(document, run_folder) as job:
        asyncio.run(_serve(job, host, port, lambda: write_report(run_folder, document, job.events)))
        finished = job.state.finished
        if finished and last_words:
            last_words.write_text(to_last_words(job.status()))
        return _exit_code(finished.exit_code) if finished else ExitCode.INTERRUPTED


def _exit_code(code: int) -> ExitCode:
    """Return the exit code a member ended with; INTERNAL for one that is not ours, like that of a killed process."""
    return ExitCode(code) if code in list(ExitCode) else ExitCode.INTERNAL


async def _serve(job: Job, host: str, port: int, write_report: Callable[[], object]) -> None:
    ended = asyncio.Event()
    _stop_on_signals(job, ended)
    runner = web.AppRunner(Server(job, ended.set).application(), access_log=None)
    await runner.setup()
    try:
        await _listen(runner, host, port)
        if job.state.finished:
            ended.set()
        await ended.wait()
        await asyncio.to_thread(_report, write_report)
    finally:
        await runner.cleanup()


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


def _stop_on_signals(job: Job, ended: asyncio.Event) -> None:
    """The first signal ends the process once no worker needs it any more, the second one at once."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if job.state.member is None or draining.is_set():
            ended.set()
            return
        draining.set()
        log.info("asked to stop: waiting at most %.0f s for the worker's last commit", DRAIN_SECONDS)
        loop.call_later(DRAIN_SECONDS, ended.set)

    draining = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
