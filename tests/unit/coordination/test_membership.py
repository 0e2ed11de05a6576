"""Rounds: who is in them, when they end, and when the next one is formed."""

from typing import Any

import pytest

from gmeta_api.document import JobIdentity
from gmeta_worker.coordination.commits import Commits
from gmeta_worker.coordination.membership import BROKEN_SECONDS, COMMIT_SECONDS, Rules
from gmeta_worker.coordination.messages import Ended, Formed, Message, Orders, RankEnd, Refusal, Reply, Round, Wait
from gmeta_worker.coordination.rounds import FIRST_SETTLE_SECONDS, SETTLE_SECONDS, START_SECONDS, WAITING_SECONDS
from gmeta_worker.coordination.state import Append, State, transition

THREE = Rules(replicas=3, min_replicas=3, heartbeat_seconds=10.0, backoff_limit=2)
ELASTIC = Rules(replicas=3, min_replicas=1, max_replicas=4, heartbeat_seconds=10.0)


class Coordinator:
    """A coordinator on a clock of its own; workers are called `process-<index>` unless another name is given."""

    def __init__(self, messages: Any, rules: Rules) -> None:
        self.messages = messages
        self.state = State(0, Commits(JobIdentity(name="demo", namespace="default"), {}), rules)
        self.now = 0.0
        self.formed: list[Formed] = []

    def send(self, message: Message) -> Reply:
        result = transition(self.state, message, self.now)
        self.state = result.state
        recorded = [effect.message for effect in result.effects if isinstance(effect, Append)]
        self.formed += [each for each in recorded if isinstance(each, Formed)]
        return result.reply

    def join(self, *workers: int, process: str | None = None, **fields: Any) -> Reply:
        """Each of the workers asks once; the last reply. `after` is the current generation unless given."""
        after = {"after": self.state.generation} | fields
        replies = [self.send(self.messages.join(process or f"process-{each}", each, **after)) for each in workers]
        return replies[-1]

    def beat(self, *workers: int, seconds: float = 0.0, rank: int | None = None) -> Reply:
        """For so many seconds the agents of these workers beat once a second; the last reply."""
        reply: Reply = Wait(seconds=0, message="")
        for _ in range(max(1, round(seconds))):
            self.now += 1.0 if seconds else 0.0
            for each in workers:
                reply = self.send(self.messages.beat(f"process-{each}", self.state.generation, rank=rank))
        return reply

    def asking(self, *workers: int, seconds: float) -> Reply:
        """For so many seconds these workers ask for a round, once a second; the last reply."""
        reply: Reply = Wait(seconds=0, message="")
        for _ in range(round(seconds)):
            self.now += 1.0
            reply = self.join(*workers)
        return reply

    @property
    def workers(self) -> list[int]:
        return [member.worker for member in self.state.membership.members]


@pytest.fixture
def three(messages: Any) -> Coordinator:
    """Workers 0 to 2 in their first round."""
    coordinator = Coordinator(messages, THREE)
    coordinator.join(2, 0, 1)
    assert coordinator.workers == [0, 1, 2]
    return coordinator


@pytest.fixture
def elastic(messages: Any) -> Coordinator:
    """The same where fewer and more may train."""
    coordinator = Coordinator(messages, ELASTIC)
    coordinator.join(2, 0, 1)
    return coordinator


def orders(reply: Reply) -> Orders:
    assert isinstance(reply, Orders)
    return reply


def test_a_round_is_formed_once_all_are_there_in_the_order_of_their_indices(messages: Any) -> None:
    coordinator = Coordinator(messages, THREE)
    assert coordinator.join(2, ranks=2) == Wait(seconds=0.5, message="1 of 3 workers are here")
    assert coordinator.join(0) == Wait(seconds=0.5, message="2 of 3 workers are here")
    reply = coordinator.join(1, after=0)
    assert isinstance(reply, Round)
    assert [(each.worker, each.first_rank, each.ranks) for each in reply.members] == [(0, 0, 1), (1, 1, 1), (2, 2, 2)]
    assert (reply.place, reply.world_size, reply.generation, reply.weights) == (1, 4, 1, (1.0,) * 4)
    late = coordinator.join(2, ranks=2, after=0)
    assert isinstance(late, Round)
    assert (late.place, late.members) == (2, reply.members)


def test_without_enough_workers_there_is_no_round_however_long_it_takes(messages: Any) -> None:
    coordinator = Coordinator(messages, THREE)
    assert isinstance(coordinator.asking(0, 1, seconds=1000), Wait)
    assert coordinator.formed == []


def test_with_enough_workers_the_first_round_waits_a_while_for_all(messages: Any) -> None:
    coordinator = Coordinator(messages, ELASTIC)
    coordinator.join(0, 1)
    assert coordinator.asking(0, 1, seconds=FIRST_SETTLE_SECONDS - 1) == Wait(
        seconds=0.5, message="2 of at least 1 workers are here"
    )
    coordinator.asking(0, 1, seconds=1)
    assert coordinator.workers == [0, 1]


def test_who_has_stopped_asking_is_not_in_the_round(messages: Any) -> None:
    coordinator = Coordinator(messages, ELASTIC)
    coordinator.join(0, 1)
    coordinator.asking(0, seconds=WAITING_SECONDS + FIRST_SETTLE_SECONDS)
    assert coordinator.workers == [0]


def test_a_lost_reply_is_given_again_and_ends_nothing(three: Coordinator) -> None:
    before = three.state.membership.members
    again = three.join(1, after=0)
    assert isinstance(again, Round)
    assert (again.generation, again.members, again.place) == (1, before, 1)
    assert orders(three.beat(0)).rejoin is False


def test_a_rank_that_dies_makes_the_others_join_again(three: Coordinator) -> None:
    three.beat(0, 1, 2, seconds=5)
    reply = three.join(1, ended=(RankEnd(rank=1, exit_code=137),))
    assert reply == Wait(seconds=0.5, message="waiting for workers 0, 2 to join again")
    told = orders(three.beat(0))
    assert (told.rejoin, told.grace) == (True, BROKEN_SECONDS)
    assert told.message == "rank 1 (worker 1) ended with exit code 137"
    three.join(0, 2)
    assert isinstance(three.join(1, after=1, ended=(RankEnd(rank=1, exit_code=137),)), Round)
    assert (three.state.generation, three.workers) == (2, [0, 1, 2])
    assert three.state.membership.restarts == {"failed": 1}
    assert (three.formed[-1].cause, three.formed[-1].reason) == ("failed", told.message)
    assert orders(three.beat(0, 1, 2)).rejoin is False


def test_the_cause_is_told_by_the_worker_whose_rank_failed_whoever_is_first(three: Coordinator) -> None:
    three.join(0, ended=(RankEnd(rank=0, exit_code=68),))
    three.join(2, ended=(RankEnd(rank=2, exit_code=143),))
    three.join(1, ended=(RankEnd(rank=1, exit_code=139),))
    assert three.state.membership.restarts == {"failed": 1}


def test_an_agent_that_dies_is_noticed_by_its_silence_and_waited_for(three: Coordinator) -> None:
    assert orders(three.beat(0, 1, seconds=10)).rejoin is False
    told = orders(three.beat(0, 1, seconds=1))
    assert (told.rejoin, told.message) == (True, "worker 2 has been silent for 11 s")
    assert isinstance(three.asking(0, 1, seconds=100), Wait)
    three.join(2, process="process-new", after=0)
    three.join(0, 1)
    assert three.state.generation == 2
    assert three.state.membership.restarts == {"silent": 1}


def test_where_fewer_may_train_the_others_go_on_without_it(elastic: Coordinator) -> None:
    elastic.beat(0, 1, seconds=11)
    elastic.join(0, 1)
    elastic.asking(0, 1, seconds=SETTLE_SECONDS)
    assert (elastic.state.generation, elastic.workers) == (2, [0, 1])


def test_a_new_process_of_a_worker_takes_its_place_at_once(three: Coordinator) -> None:
    three.join(2, process="process-new", after=0)
    told = orders(three.beat(0))
    assert (told.rejoin, told.message) == (True, "worker 2 was started again")
    fenced = three.beat(2)
    assert isinstance(fenced, Refusal)
    assert fenced.reason == "fenced"
    three.join(0, 1)
    assert [member.process for member in three.state.membership.members] == ["process-0", "process-1", "process-new"]
    assert three.state.membership.failures == 0, "the operator counts workers that it starts again"


def test_a_zombie_that_nobody_has_replaced_may_come_back(elastic: Coordinator) -> None:
    elastic.beat(0, 1, seconds=11)
    elastic.join(0, 1)
    elastic.asking(0, 1, seconds=SETTLE_SECONDS)
    old = elastic.send(elastic.messages.beat("process-2", 1))
    assert orders(old).rejoin is True
    elastic.join(2, after=1)
    assert orders(elastic.beat(0)).message == "worker 2 came on top"
    elastic.join(0, 1, 2)
    assert elastic.workers == [0, 1, 2]


def test_a_rank_that_hangs_is_noticed_by_its_silence(three: Coordinator) -> None:
    for second in range(1, 30):
        three.now = float(second)
        three.beat(0, 1, 2)
        three.beat(0, rank=0)
        three.beat(1, rank=1)
        if second < 5:
            three.beat(2, rank=2)
    told = orders(three.beat(2))
    assert (told.rejoin, told.grace, told.message) == (True, BROKEN_SECONDS, "rank 2 has been silent for 11 s")


def test_a_rank_has_time_to_start(three: Coordinator) -> None:
    assert orders(three.beat(0, 1, 2, seconds=START_SECONDS)).rejoin is False
    assert orders(three.beat(0, 1, 2, seconds=2)).rejoin is True


def test_the_coordinators_own_absence_is_nobodys_silence(three: Coordinator) -> None:
    three.beat(0, 1, 2, seconds=5)
    three.now += 1000.0
    assert orders(three.beat(0, 1, 2)).rejoin is False
    assert orders(three.beat(0, 1, seconds=11)).rejoin is True, "from now on it counts again"


def test_a_member_that_does_not_join_again_in_time_is_given_up(elastic: Coordinator) -> None:
    elastic.join(1, ended=(RankEnd(rank=1, exit_code=1),))
    for _ in range(40):
        elastic.beat(2, seconds=1)
        elastic.join(0, 1)
    assert elastic.workers == [0, 1]


def test_newcomers_are_let_in_together_and_the_members_commit_first(messages: Any) -> None:
    coordinator = Coordinator(messages, Rules(replicas=1, min_replicas=1, max_replicas=3, heartbeat_seconds=10.0))
    coordinator.join(0)
    assert coordinator.join(1, after=0) == Wait(
        seconds=0.5, message="generation 1 runs; this worker comes in with the next round"
    )
    for _ in range(int(SETTLE_SECONDS)):
        assert orders(coordinator.beat(0)).rejoin is False
        coordinator.now += 1.0
        coordinator.join(1, 2, after=0)
    coordinator.now += 1.0
    told = orders(coordinator.beat(0))
    assert (told.rejoin, told.grace, told.message) == (True, COMMIT_SECONDS, "workers 1, 2 came on top")
    coordinator.join(1, 2, after=0)
    coordinator.join(0)
    assert coordinator.workers == [0, 1, 2]


def test_there_are_never_more_than_may_be(elastic: Coordinator) -> None:
    elastic.join(3, after=0)
    elastic.asking(3, seconds=1)
    assert isinstance(elastic.join(4, after=0), Refusal)
    for _ in range(10):
        elastic.now += 1.0
        elastic.beat(0, 1, 2)
        elastic.join(3, after=0)
    elastic.join(0, 1, 2)
    assert elastic.workers == [0, 1, 2, 3]


def test_who_is_asked_to_stop_leaves_and_the_others_go_on(elastic: Coordinator) -> None:
    stopped = (RankEnd(rank=0, exit_code=143),)
    elastic.join(0, ended=stopped)
    elastic.send(elastic.messages.leave("process-2", message="asked to stop"))
    assert orders(elastic.beat(1)).grace == COMMIT_SECONDS
    elastic.join(1, ended=stopped)
    elastic.asking(0, 1, seconds=SETTLE_SECONDS)
    assert elastic.workers == [0, 1]
    assert (elastic.state.membership.restarts, elastic.state.membership.failures) == ({"left": 1}, 0)


def test_too_many_failures_without_a_commit_end_the_attempt(three: Coordinator) -> None:
    failed = (RankEnd(rank=1, exit_code=139),)
    for generation in (1, 2):
        assert three.state.generation == generation
        three.join(0, 2)
        three.join(1, ended=failed)
    three.join(0, 2)
    reply = three.join(1, ended=failed)
    assert reply == Ended(
        outcome="failed",
        message="rank 1 (worker 1) ended with exit code 139, and 2 restarts before it came to no commit either "
        "(spec.faultTolerance.backoffLimit); see that worker's log",
        exit_code=139,
    )
    assert three.state.finished is not None
    assert three.join(0) == reply


def test_a_commit_forgives_the_failures_before_it(three: Coordinator) -> None:
    failed = (RankEnd(rank=1, exit_code=139),)
    for _ in range(5):
        generation = three.state.generation
        for rank in range(3):
            shard = three.messages.shard(generation, generation=generation, rank=rank)
            blocks = {"blocks": (4096 * rank // 3, 4096 * (rank + 1) // 3), "path": f"rows-{rank}.safetensors"}
            rows = shard.files[1].model_copy(update=blocks)
            files = (shard.files[0], rows) if rank == 0 else (rows,)
            three.send(shard.model_copy(update={"files": files}))
        three.join(0, 2)
        three.join(1, ended=failed)
    assert three.state.finished is None
    assert three.state.generation == 6
