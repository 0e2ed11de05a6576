"""The worker's process: torch's elastic agent, which goes from round to round with this worker's ranks."""

import logging
import signal
import sys
import tempfile
from collections.abc import Callable
from types import FrameType

from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec
from torch.distributed.elastic.agent.server.api import Worker as LocalRank
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from gmeta_api.errors import GMetaError
from gmeta_api.exit_codes import ExitCode
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.messages import Ended, RankEnd, Round
from gmeta_worker.membership.fork_server import START_METHOD
from gmeta_worker.membership.rendezvous import CoordinatorRendezvous, Worker
from gmeta_worker.runtime import Runtime

MONITOR_SECONDS = 0.2
STOP_SECONDS = 25
"""How long ranks may take to commit when this worker is asked to stop: Kubernetes' grace period is 30 s."""
BROKEN_SECONDS = 3
"""The same where a rank of this worker has failed: the others wait for it in vain."""
GOODBYE_SECONDS = 10
"""How long an agent whose ranks are done waits for the others."""
JOIN_PATIENCE_SECONDS = 300.0
"""How long the coordinator may be away while this worker wants to join: its pod may be replaced meanwhile."""
UNLIMITED = 2**31
"""Restarts are counted by the coordinator, over all workers."""

ELASTIC_LOGS = ("torch.distributed.elastic.agent.server.api", "torch.distributed.elastic.multiprocessing.api")
"""They tell of every rank that ends with a traceback of their own; the agent tells what there is to know."""

log = logging.getLogger(__name__)


def run_agent(runtime: Runtime, rank_process: Callable[[], None]) -> int:
    """Keep this worker's ranks until the attempt ends or this worker is asked to stop; the exit code.

    Args:
        runtime: the job.
        rank_process: what a rank does; runs in a process of its own.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _raise)
    for name in ELASTIC_LOGS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with CoordinatorClient(runtime.coordinator, patience=JOIN_PATIENCE_SECONDS) as client:
        rendezvous = CoordinatorRendezvous(_worker(runtime), client, CoordinatorClient(runtime.coordinator))
        with rendezvous.heartbeat, tempfile.TemporaryDirectory(prefix="gmeta-agent-") as scratch:
            return _run(_Agent(rendezvous, rank_process, runtime.local_size, scratch), rendezvous)


def _run(agent: LocalElasticAgent, rendezvous: CoordinatorRendezvous) -> int:
    try:
        agent.run()
    except SignalException:
        rendezvous.leave("asked to stop")
        return ExitCode.INTERRUPTED
    except GMetaError as error:
        print(f"gmeta: {error}", file=sys.stderr)
        rendezvous.leave(str(error)[:1024])
        return error.exit_code
    rendezvous.leave("the attempt has ended")
    return _exit_code(rendezvous.ended)


def _exit_code(ended: Ended | None) -> int:
    """The job's outcome; without one the ranks of this worker have done all their work."""
    if ended is None or ended.outcome == "succeeded":
        return ExitCode.OK
    print(f"gmeta: {ended.message}", file=sys.stderr)
    return ended.exit_code


def _worker(runtime: Runtime) -> Worker:
    document = runtime.document
    return Worker(document.job.name, document.attempt, runtime.worker_index, runtime.local_size, runtime.host)


class _Agent(LocalElasticAgent):
    """Takes ranks from the coordinator's round, and gives ranks the time to end that the coordinator orders."""

    def __init__(
        self, rendezvous: CoordinatorRendezvous, rank_process: Callable[[], None], ranks: int, scratch: str
    ) -> None:
        spec = WorkerSpec(
            role="rank",
            local_world_size=ranks,
            entrypoint=rank_process,
            rdzv_handler=rendezvous,
            max_restarts=UNLIMITED,
            monitor_interval=MONITOR_SECONDS,
        )
        logs = DefaultLogsSpecs(log_dir=scratch)
        super().__init__(spec, logs, START_METHOD, exit_barrier_timeout=GOODBYE_SECONDS, shutdown_timeout=STOP_SECONDS)
        self._rendezvous_handler = rendezvous

    def _assign_worker_ranks(
        self,
        store: object,  # noqa: ARG002  # the signature is torch's
        group_rank: int,
        group_world_size: int,  # noqa: ARG002
        spec: WorkerSpec,
    ) -> list[LocalRank]:
        announced = self._rendezvous_handler.current
        return [_local_rank(announced, group_rank, number) for number in range(spec.local_world_size)]

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        result: RunResult = super()._monitor_workers(worker_group)
        if result.is_failed():
            failures = sorted(result.failures.items(), key=lambda item: item[1].timestamp)
            self._rendezvous_handler.lost = tuple(_rank_end(rank, failure) for rank, failure in failures)
            for end in self._rendezvous_handler.lost:
                log.info("rank %d ended with exit code %d", end.rank, end.exit_code)
        return result

    def _stop_workers(self, worker_group: WorkerGroup) -> None:  # noqa: ARG002  # the signature is torch's
        grace = self._rendezvous_handler.grace
        self._shutdown(signal.SIGTERM, BROKEN_SECONDS if grace is None else round(grace))


def _local_rank(announced: Round, place: int, number: int) -> LocalRank:
    rank, size = announced.members[place].first_rank + number, announced.world_size
    return LocalRank(local_rank=number, global_rank=rank, role_rank=rank, world_size=size, role_world_size=size)


def _rank_end(rank: int, failure: ProcessFailure) -> RankEnd:
    code = failure.exitcode
    return RankEnd(rank=rank, exit_code=code if code >= 0 else 128 - code)


def _raise(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signature is Python's
    raise SignalException(f"asked to stop by signal {number}", signal.Signals(number))
