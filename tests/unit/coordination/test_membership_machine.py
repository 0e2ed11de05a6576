"""Whatever happens to agents, ranks, messages and the coordinator: one round at a time, and one in the end."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gmeta_api.document import JobIdentity
from gmeta_worker.coordination.commits import Commits
from gmeta_worker.coordination.events import Event, wall_time
from gmeta_worker.coordination.membership import Rules
from gmeta_worker.coordination.messages import (
    Beat,
    Finish,
    Formed,
    Join,
    Leave,
    Message,
    Orders,
    Progress,
    RankEnd,
    Refusal,
    Reply,
    Round,
)
from gmeta_worker.coordination.recovery import recover
from gmeta_worker.coordination.state import Append, State, transition

WORKERS = 4
RULES = Rules(replicas=3, min_replicas=2, max_replicas=WORKERS, heartbeat_seconds=10.0, backoff_limit=1000)
INITIAL = State(0, Commits(JobIdentity(name="demo", namespace="default"), {}), RULES)
SECONDS_TO_A_ROUND = 240
"""A rank that hangs while the coordinator is away is noticed after 120 s (it may still be starting), a member that does
not join again after 43 s more, and a round settles within 30 s."""


@dataclass
class Agent:
    """What a correct agent does, once a second, and what its one rank does."""

    worker: int
    process: str
    generation: int = 0
    asking: bool = True
    ended: tuple[RankEnd, ...] = ()
    rank: int = 0
    rank_hangs: bool = False
    frozen: bool = False
    fenced: bool = False
    sent: list[Message] = field(default_factory=list)

    def messages(self) -> list[Message]:
        if self.asking:
            return [self.join()]
        beat = Beat(attempt=0, generation=self.generation, process=self.process)
        return [beat] if self.rank_hangs else [beat, beat.model_copy(update={"rank": self.rank})]

    def join(self) -> Join:
        place = {"worker": self.worker, "host": "h", "port": 1, "ranks": 1, "process": self.process}
        return Join(attempt=0, **place, after=self.generation, ended=self.ended)

    def hear(self, reply: Reply) -> None:
        match reply:
            case Round():
                assert reply.members[reply.place].process == self.process
                assert reply.generation > self.generation
                self.generation, self.asking, self.ended = reply.generation, False, ()
                self.rank, self.rank_hangs = reply.members[reply.place].first_rank, False
            case Orders() if reply.rejoin:
                self.asking = True
            case Refusal():
                assert reply.reason == "fenced"
                self.fenced = True


class MembershipMachine(RuleBasedStateMachine):
    """Agents that die, freeze, lose replies and leave, and a coordinator that dies; only its events survive it."""

    def __init__(self) -> None:
        super().__init__()
        self.state = INITIAL
        self.now = 0.0
        self.events: list[Event] = []
        self.agents = {worker: self.new_agent(worker, 0) for worker in range(3)}
        self.zombies: list[Agent] = []
        self.births = 0
        self.formed: list[Formed] = []

    @staticmethod
    def new_agent(worker: int, number: int) -> Agent:
        return Agent(worker, f"process-{worker}-{number}")

    def send(self, message: Message) -> Reply:
        result = transition(self.state, message, self.now)
        for effect in result.effects:
            assert isinstance(effect, Append)
            event = Event(at=effect.at, time=wall_time(), generation=effect.generation, message=effect.message)
            self.events.append(event)
            if isinstance(effect.message, Formed):
                self.formed.append(effect.message)
        self.state = result.state
        return result.reply

    def second(self, lost: int | None = None) -> None:
        """Every agent that is not frozen sends its message; the reply to one worker's is lost."""
        self.now += 1.0
        for agent in [*self.agents.values(), *self.zombies]:
            if agent.frozen or agent.fenced:
                continue
            for message in agent.messages():
                agent.sent.append(message)
                reply = self.send(message)
                if agent.worker != lost:
                    agent.hear(reply)

    @rule(seconds=st.integers(1, 15), lost=st.none() | st.integers(0, WORKERS - 1))
    def time_passes(self, seconds: int, lost: int | None) -> None:
        for _ in range(seconds):
            self.second(lost)

    @rule(worker=st.integers(0, WORKERS - 1), code=st.sampled_from([1, 137, 68, 143]))
    def rank_dies(self, worker: int, code: int) -> None:
        agent = self.agents.get(worker)
        if agent and not agent.asking:
            agent.asking, agent.ended = True, (RankEnd(rank=worker, exit_code=code),)

    @rule(worker=st.integers(0, WORKERS - 1))
    def rank_hangs(self, worker: int) -> None:
        if worker in self.agents:
            self.agents[worker].rank_hangs = True

    @rule(worker=st.integers(0, WORKERS - 1))
    def agent_dies(self, worker: int) -> None:
        self.agents.pop(worker, None)

    @rule(worker=st.integers(0, WORKERS - 1))
    def agent_leaves(self, worker: int) -> None:
        if agent := self.agents.pop(worker, None):
            self.send(Leave(attempt=0, process=agent.process))

    @rule(worker=st.integers(0, WORKERS - 1))
    def agent_starts(self, worker: int) -> None:
        """A new process of a worker; the old one, if it still runs, becomes a zombie."""
        self.births += 1
        if worker in self.agents:
            self.zombies.append(self.agents[worker])
        self.agents[worker] = self.new_agent(worker, self.births)
        self.send(self.agents[worker].join())

    @rule(worker=st.integers(0, WORKERS - 1), frozen=st.booleans())
    def agent_freezes_or_thaws(self, worker: int, frozen: bool) -> None:
        if worker in self.agents:
            self.agents[worker].frozen = frozen

    @rule(worker=st.integers(0, WORKERS - 1), back=st.integers(1, 5))
    def an_old_message_arrives_again(self, worker: int, back: int) -> None:
        agent = self.agents.get(worker)
        if agent and len(agent.sent) >= back:
            self.send(agent.sent[-back])

    @rule(seconds=st.integers(0, 300))
    def coordinator_dies(self, seconds: int) -> None:
        before = self.state
        self.state = recover(INITIAL, self.events, None, ())
        self.now += seconds
        assert self.state.membership.members == before.membership.members
        assert self.state.generation == before.generation

    @rule(back=st.integers(1, 3), rank=st.integers(0, WORKERS - 1))
    def an_old_member_speaks(self, back: int, rank: int) -> None:
        """Whoever speaks for a generation that is over has no effect."""
        generation = self.state.generation - back
        if generation < 0:
            return
        before = self.state
        said: dict[str, Any] = {"attempt": 0, "generation": generation}
        totals = {"epoch": 0, "step": 1, "total_steps": 9, "samples": 1, "tasks": 1, "bytes_read": 0, "queue_depth": 0}
        progress = Progress(**said, rank=rank, **totals, loss=0.0, seconds={}, wait_seconds=0.0)
        for message in (progress, Finish(**said, outcome="failed", message="", exit_code=1)):
            assert isinstance(self.send(message), Refusal)
            assert self.state == before

    @invariant()
    def generations_only_rise(self) -> None:
        generations = [each.generation for each in self.formed]
        assert generations == sorted(set(generations))
        assert self.state.generation == (generations[-1] if generations else 0)

    @invariant()
    def rounds_have_one_process_a_worker_and_no_more_than_may_be(self) -> None:
        for each in self.formed:
            workers = [member.worker for member in each.members]
            assert workers == sorted(set(workers))
            assert RULES.min_replicas <= len(workers) <= RULES.max_replicas
            assert [member.first_rank for member in each.members] == list(range(len(workers)))

    def teardown(self) -> None:
        """Where enough live on undisturbed, they come together in one round, and stay in it."""
        living = [agent for agent in self.agents.values() if not agent.frozen]
        for zombie in self.zombies:
            zombie.frozen = True
        for _ in range(SECONDS_TO_A_ROUND):
            self.second()
        if len([agent for agent in living if not agent.fenced]) < RULES.min_replicas:
            return
        assert not any(agent.asking for agent in living if not agent.fenced)
        members = {member.process for member in self.state.membership.members}
        assert {agent.process for agent in living if not agent.fenced} == members
        generation = self.state.generation
        for _ in range(30):
            self.second()
        assert self.state.generation == generation


TestMembership = MembershipMachine.TestCase
TestMembership.settings = settings(deadline=None, max_examples=60, stateful_step_count=25)
