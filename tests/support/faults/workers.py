"""Agents: join rounds with the real client, start ranks, and stop them when the coordinator says so."""

from dataclasses import dataclass, field

from faults.clock import Process
from faults.counting import Order
from faults.ranks import BEAT_SECONDS, Meeting, RankJob, client_of
from faults.world import World
from gmeta_api.errors import GMetaError
from gmeta_api.exit_codes import ExitCode
from gmeta_api.spec import Spec
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.messages import Beat, Ended, Join, Leave, Orders, RankEnd, Round

BROKEN_SECONDS = 3.0
STOP_SECONDS = 25.0


@dataclass(eq=False)
class Worker:
    """One life of a worker: an agent and its ranks."""

    world: World
    order: Order
    spec: Spec
    attempt: int
    index: int
    meetings: dict[tuple[int, int], Meeting]
    agent: Process = field(init=False)
    ranks: dict[int, Process] = field(default_factory=dict)
    round: Round | None = None

    def __post_init__(self) -> None:
        self.agent = Process(f"agent-{self.attempt}-{self.index}-{self.world.random.randrange(10**8):08d}")

    def start(self) -> None:
        self.world.spawn(self.agent, self._run)

    @property
    def processes(self) -> list[Process]:
        return [self.agent, *self.ranks.values()]

    def kill(self) -> None:
        """The machine is gone, with all processes of this worker."""
        for process in self.processes:
            process.kill()

    def freeze(self, until: float) -> None:
        for process in self.processes:
            process.frozen_until = until

    def _run(self) -> None:
        client = client_of(self.world, self.agent, self.attempt)
        try:
            self._live(client)
        except GMetaError as error:
            self.world.saw(f"agent ended: {type(error).__name__}")
        self._kill_ranks()
        self.agent.exit_code = ExitCode.OK

    def _live(self, client: CoordinatorClient) -> None:
        ended: tuple[RankEnd, ...] = ()
        while True:
            reply = self._join(client, ended)
            if isinstance(reply, Ended):
                return
            self.round = reply
            self._start_ranks(reply)
            ended, leaves = self._watch(client, reply)
            if leaves:
                client.leave(Leave(attempt=self.attempt, process=self.agent.name, message="done"))
                return

    def _join(self, client: CoordinatorClient, ended: tuple[RankEnd, ...]) -> Round | Ended:
        message = Join(
            attempt=self.attempt,
            worker=self.index,
            process=self.agent.name,
            host="h",
            port=1,
            ranks=self.spec.workers.processes_per_worker,
            after=self.round.generation if self.round else 0,
            ended=ended,
        )
        while True:
            reply = client.join(message)
            if isinstance(reply, Round | Ended):
                return reply
            self.world.pause(reply.seconds)

    def _start_ranks(self, announced: Round) -> None:
        key = (self.attempt, announced.generation)
        meeting = self.meetings.setdefault(key, Meeting(announced.world_size))
        member = announced.members[announced.place]
        self.ranks = {}
        for rank in range(member.first_rank, member.first_rank + member.ranks):
            process = Process(f"rank-{rank}.g{announced.generation}.a{self.attempt}")
            self.ranks[rank] = meeting.processes[rank] = process
            job = RankJob(
                self.world, self.order, self.spec, self.attempt, announced, rank, self.agent.name, process, meeting
            )
            self.world.spawn(process, job.run)

    def _watch(self, client: CoordinatorClient, announced: Round) -> tuple[tuple[RankEnd, ...], bool]:
        """Until the round is over for this worker: the ranks that ended by themselves, and whether it is done."""
        beat = Beat(attempt=self.attempt, generation=announced.generation, process=self.agent.name)
        while True:
            self.world.pause(BEAT_SECONDS / 4)
            if self.agent.asked_to_stop:
                self._stop_ranks(STOP_SECONDS)
                return (), True
            codes = {rank: self._exit_code(process) for rank, process in self.ranks.items() if process.gone}
            if len(codes) == len(self.ranks) and set(codes.values()) == {ExitCode.OK}:
                return (), True
            if any(code != ExitCode.OK for code in codes.values()):
                self._stop_ranks(BROKEN_SECONDS)
                return tuple(RankEnd(rank=rank, exit_code=code) for rank, code in codes.items()), False
            orders = client.beat(beat)
            if isinstance(orders, Orders) and orders.rejoin:
                self._stop_ranks(orders.grace)
                return (), False

    def _exit_code(self, process: Process) -> int:
        return 137 if process.exit_code is None else process.exit_code

    def _stop_ranks(self, grace: float) -> None:
        """SIGTERM, and SIGKILL for what has not ended in time."""
        for process in self.ranks.values():
            process.asked_to_stop = True
        deadline = self.world.now + grace
        while self.world.now < deadline and not all(process.gone for process in self.ranks.values()):
            self.world.pause(0.3)
        self._kill_ranks()

    def _kill_ranks(self) -> None:
        for process in self.ranks.values():
            if not process.gone:
                process.kill()
