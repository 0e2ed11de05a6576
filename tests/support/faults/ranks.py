"""Ranks: the real training loop, committer, writer and client around simulated steps."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from faults.clock import Killed, Process
from faults.counting import STEPS, CountingRows, Ints, Order
from faults.network import Network
from faults.world import World
from gmeta_api.errors import CoordinationError, GMetaError
from gmeta_api.exit_codes import ExitCode
from gmeta_api.spec import Spec
from gmeta_worker.checkpoint import CommitWriter, Ledger, open_commit
from gmeta_worker.coordination.client import AttemptEndedError, CoordinatorClient, FencedError
from gmeta_worker.coordination.messages import Beat, Finish, Progress, Round
from gmeta_worker.embedding import BLOCKS
from gmeta_worker.evaluation import MEASURES
from gmeta_worker.metaio import StepReader
from gmeta_worker.parallel import PeerLostError, block_ranges, split
from gmeta_worker.training import early_stop
from gmeta_worker.training.commits import StateSnapshot
from gmeta_worker.training.committer import Committer
from gmeta_worker.training.evaluator import Score
from gmeta_worker.training.loop import LoopActions, Position, Stop, TrainingLoop
from gmeta_worker.training.part import Consumed
from gmeta_worker.training.phase_plan import plan_phases
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.reporting import Sender
from gmeta_worker.training.step import StepResult

BEAT_SECONDS = 2.0


@dataclass(eq=False)
class Meeting:
    """The collectives of one generation."""

    size: int
    processes: dict[int, Process] = field(default_factory=dict)
    given: dict[int, dict[int, Any]] = field(default_factory=dict)

    def meet(self, world: World, rank: int, number: int, value: Any) -> list[Any]:
        """What each rank gives to the collective of this number.

        Raises:
            PeerLostError: a rank is gone that has not given anything.
        """
        given = self.given.setdefault(number, {})
        given[rank] = value
        while len(given) < self.size:
            if any(process.gone for other, process in self.processes.items() if other not in given):
                raise PeerLostError("a rank is gone")
            world.pause(0.1)
        return [given[each] for each in range(self.size)]


def client_of(world: World, process: Process, attempt: int) -> CoordinatorClient:
    """The real client over the simulated network and clock; its own jitter would not be the seed's."""
    return CoordinatorClient(
        "http://coordinator",
        patience=60.0,
        transport=Network(world, process, attempt),
        monotonic=world.clock,
        sleep=lambda _: world.pause(world.random.uniform(0.0, 1.0)),
    )


@dataclass(frozen=True)
class RankJob:
    """What a rank process is started with."""

    world: World
    order: Order
    spec: Spec
    attempt: int
    round: Round
    rank: int
    agent: str
    process: Process
    meeting: Meeting

    def run(self) -> None:
        """The life of the process; its exit code says how it ended."""
        client = client_of(self.world, self.process, self.attempt)
        self.world.spawn(self.process, self._beat)
        self.process.exit_code = self._outcome(client)

    def _outcome(self, client: CoordinatorClient) -> int:
        """As a real rank process does."""
        try:
            finish = _Training(self, client).outcome()
            if self.rank == 0 and finish.outcome != "interrupted":
                client.finish(finish)
        except (PeerLostError, CoordinationError) as error:
            self.world.saw(f"rank ended: {type(error).__name__}")
            return ExitCode.COORDINATION
        except GMetaError as error:
            self.world.saw(f"rank ended: {type(error).__name__}")
            return self._end_attempt(client, error)
        return finish.exit_code

    def _end_attempt(self, client: CoordinatorClient, error: GMetaError) -> int:
        try:
            client.finish(self.finish("failed", str(error), error.exit_code))
        except AttemptEndedError:
            pass
        except CoordinationError:
            return ExitCode.COORDINATION
        except GMetaError:
            self.world.saw("an end that could not be told")
        return error.exit_code

    def finish(self, outcome: Any, message: str, exit_code: int) -> Finish:
        return Finish(
            attempt=self.attempt,
            generation=self.round.generation,
            outcome=outcome,
            message=message,
            exit_code=exit_code,
        )

    def _beat(self) -> None:
        client = client_of(self.world, self.process, self.attempt)
        beat = Beat(attempt=self.attempt, generation=self.round.generation, process=self.agent, rank=self.rank)
        while not self.process.gone:
            try:
                client.beat(beat)
            except FencedError:
                return
            self.world.pause(BEAT_SECONDS)


class _Training:
    """A training run of one rank."""

    def __init__(self, job: RankJob, client: CoordinatorClient) -> None:
        self._job = job
        self._client = client
        self._world = job.world
        ref, ranks = job.round.commit, job.round.world_size
        commit = open_commit(job.world.folder / ref.path) if ref else None
        owned = block_ranges(ranks, BLOCKS)[job.rank]
        self._rows = CountingRows(job.order, owned, commit)
        self._ledger = commit.manifest.ledger if commit else Ledger()
        self._sender = Sender(job.attempt, job.round.generation, job.rank)
        layout = job.order.layout
        self._committer = Committer(
            client,
            CommitWriter(job.world.folder, job.attempt, job.round.generation, layout, owned),
            layout,
            self._sender,
            self._snapshot,
            "auc",
            lambda seconds, stall: job.world.saw("shard committed"),
        )

    def outcome(self) -> Finish:
        """Train to the end, or until a rank is asked to stop."""
        job = self._job
        actions = LoopActions(self._train, self._report, self._evaluate, self._committer.commit)
        reader = cast("StepReader", _Reader(job.order))
        loop = TrainingLoop(
            job.spec.training,
            job.spec.checkpoint.every_steps,
            plan_phases(job.spec, reader.steps()),
            reader,
            actions,
            PhaseClock(),
        )
        _, ended = loop.run(Position(self._ledger, early_stop.Progress()))
        self._committer.wait()
        if ended is Stop.INTERRUPTED:
            self._world.saw("stopped in order")
            return job.finish("interrupted", ended.value, ExitCode.INTERRUPTED)
        return job.finish("succeeded", ended.value, ExitCode.OK)

    def _snapshot(self) -> StateSnapshot:
        dense = {STEPS: self._rows.steps.clone()} if self._job.rank == 0 else None
        return StateSnapshot(self._rows.store.snapshot(), dense, {})

    def _train(self, batch: Any, number: int, following: Any) -> StepResult:
        """Exchange what each rank has of the step; every owner counts its rows."""
        tasks: Sequence[Ints] = batch
        own = self._own(tasks)
        given = (own, self._job.process.asked_to_stop)
        told = self._job.meeting.meet(self._world, self._job.rank, number, given)
        samples = np.concatenate([sample for theirs, _ in told for sample in theirs])
        self._rows.train(samples)
        self._world.pause(self._world.random.uniform(0.05, 0.5))
        whole = Consumed(len(tasks), 0, len(samples))
        stop = any(stop for _, stop in told)
        return StepResult(loss=0.0, stop=stop, straggling=0.0, whole=whole, own=Consumed(len(own), 0, 0))

    def _own(self, tasks: Sequence[Ints]) -> Sequence[Ints]:
        offsets = np.concatenate([[0], np.cumsum([len(task) for task in tasks])])
        bounds = split(offsets, self._job.round.weights)
        return tasks[bounds[self._job.rank] : bounds[self._job.rank + 1]]

    def _report(self, ledger: Ledger, result: StepResult) -> None:
        self._committer.check()
        if self._job.rank == 0:
            self._client.progress(_progress(self._sender, ledger))

    def _evaluate(self, ledger: Ledger) -> Score:
        """Better and worse, the same on every rank."""
        auc = 0.5 + (ledger.global_step * 7 % 10) / 20
        measures = dict.fromkeys(MEASURES, 1.0) | {"auc": auc, "gauc": auc}
        return Score(label="click", shot=0, adapted=True, tasks=1, rows=1, **measures)


class _Reader:
    """What the training loop asks of a reader."""

    def __init__(self, order: Order) -> None:
        self.steps = lambda: order.steps
        self.epoch = order.epoch


class Background:
    """Stands in for a thread of the committer: a thread of the simulation."""

    def __init__(self, world: World, work: Any) -> None:
        assert world.current is not None
        self._world = world
        self._future: Future[None] = Future()
        self._work = work
        world.spawn(world.current.process, self._run)

    def done(self) -> bool:
        return self._future.done()

    def result(self) -> None:
        while not self._future.done():
            self._world.pause(0.1)
        self._future.result()

    def _run(self) -> None:
        try:
            self._work()
        except Killed:
            raise
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self._future.set_exception(error)
        else:
            self._future.set_result(None)


def _progress(sender: Sender, ledger: Ledger) -> Progress:
    return Progress(
        **sender.fence,
        epoch=ledger.epoch,
        step=ledger.global_step,
        total_steps=100,
        samples=ledger.samples,
        tasks=ledger.tasks,
        loss=0.0,
        seconds={},
        bytes_read=0,
        queue_depth=0,
        wait_seconds=0.0,
    )
