"""Histories of a job: a state machine over the real operator, a simulated API server and everything that goes wrong."""

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from cluster_life import ClusterLife
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from judge import BACK_OFF, LONGEST_BACK_OFF, Judge
from settled import assert_settled
from simulated import POINTS, PREPARE, Server, manifest
from simulated_operator import Operator
from status_rules import finished

from gmeta_operator.client import ApiError
from gmeta_operator.leader_api import Fenced
from gmeta_operator.metrics import OperatorMetrics

READS = ("list Pods", "get job")
WHICH = st.integers(0, 11)
"""Which of those that something may happen to."""

BLOWS = ("end", "end", "end", "end", "run out of memory", "evict", "lose node", "delete", "remove")
CODES = st.sampled_from([137, 68, 1, 68, 67, 143, 68, 137, 65])
SECONDS = st.sampled_from([1, 0, 2, 5, 11, 21, 41, 61, 301])
HEARD = st.sampled_from([None, None, None, 0, 0, 1, 3])
"""How many of the waiting events the operator hears before it works; None: all of them."""

DEADLINES: tuple[dict[str, int], ...] = (
    {},
    {},
    {},
    {"ttlSecondsAfterFinished": 30},
    {"activeDeadlineSeconds": 400, "ttlSecondsAfterFinished": 250},
    {"activeDeadlineSeconds": 90},
    {"preRunningDeadlineSeconds": 100, "ttlSecondsAfterFinished": 0},
)
"""Of `runPolicy`."""

PATIENCE = timedelta(seconds=100)
"""Longer than any back-off and than a lost pod is waited for."""

METRICS = OperatorMetrics()
"""Of all operators, since making them takes longer than a pass."""

STEPS = 45
MOST_PASSES = 300


@dataclass
class Tally:
    """What has happened over many histories.

    Attributes:
        crashes: of the operator, before and after each write.
        lengths: of the histories, in events.
        happened: what few histories see, how often; the reasons of the jobs' ends among it.
    """

    crashes: Counter[tuple[str, str]] = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)


class Crash(BaseException):
    """The operator's process ends, here and now."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a request of that name.

    Attributes:
        when: before or after it is carried out.
        answer: the status code of a refusal, or 0 where no answer comes; None: the operator crashes.
    """

    point: str
    when: str
    answer: int | None = None

    def __call__(self) -> BaseException:
        return Crash() if self.answer is None else ApiError(self.answer, f"refused: {self.answer}")


SELDOM = ("delete Pod", "force Pod", "delete job")
"""Writes that come seldom, so that a crash at one is tried more often."""
CRASH = st.builds(Fault, st.sampled_from((*POINTS, *SELDOM)), st.sampled_from(["before", "after"]))
REFUSAL = st.builds(Fault, st.sampled_from(POINTS + READS), st.just("before"), st.sampled_from([403, 404, 409, 500, 0]))
LOST_ANSWER = st.builds(Fault, st.sampled_from(POINTS + READS), st.just("after"), st.just(0))
FAULTS = st.none() | st.none() | CRASH | REFUSAL | LOST_ANSWER


def event(**given: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """A rule of the state machine: something happens, a request of the operator is about to go wrong, and time passes.

    Then the operator works: on all that it has heard where the work queue gives the job, or on hearsay.
    """

    def register(happen: Callable[..., None]) -> Any:
        @functools.wraps(happen)
        def counted(self: "Histories", fault: Fault | None, seconds: int, heard: int | None, **chosen: Any) -> None:
            self.events += 1
            happen(self, **chosen)
            if fault is not None:
                self.faults[fault.point, fault.when] = fault
            self.live_on(seconds, heard)

        chances: dict[str, Any] = {"fault": FAULTS, "seconds": SECONDS, "heard": HEARD, **given}
        return rule(**chances)(counted)  # type: ignore[no-untyped-call]

    return register


class Histories(RuleBasedStateMachine):
    """One job, one operator (two for a while), and a cluster on which things happen."""

    tally = Tally()

    @initialize(
        replicas=st.integers(1, 3),
        limit=st.sampled_from([6, 9, 6, 4, 2, 1, 0]),
        prepare=st.booleans(),
        policy=st.sampled_from(["Running", "All"]),
        gang=st.sampled_from(["none", "volcano", "coscheduling", "kueue"]),
        deadlines=st.sampled_from(DEADLINES),
    )
    def submit(
        self, replicas: int, limit: int, prepare: bool, policy: str, gang: str, deadlines: dict[str, int]
    ) -> None:
        data = {"volume": "all", "path": "set", **({"prepare": PREPARE} if prepare else {})}
        self.manifest = manifest(
            data=data,
            workers={"replicas": replicas},
            runPolicy={"cleanPodPolicy": policy, **deadlines},
            scheduling={"gang": {"scheduler": gang}, **({"queue": "research"} if gang == "kueue" else {})},
            faultTolerance={
                "backoffLimit": limit,
                "restartBackoffSeconds": BACK_OFF,
                "maxBackoffSeconds": LONGEST_BACK_OFF,
            },
        )
        self.server = Server(self.manifest)
        self.judge = Judge(self.server)
        self.life = ClusterLife(self.server, self.judge)
        self.server.gate = self._gate
        self.operators = [Operator(self.server, METRICS)]
        self.faults: dict[tuple[str, str], Fault] = {}
        self.chatty = False
        self.events = 0

    # What happens on the cluster.

    @event()
    def live(self) -> None:
        """Nothing goes wrong."""

    @event(blows=st.lists(st.tuples(st.sampled_from(BLOWS), WHICH, CODES), min_size=1, max_size=2))
    def strike(self, blows: list[tuple[str, int, int]]) -> None:
        """Something happens to pods."""
        for how, which, code in blows:
            self._strike(how, which, code)

    @event(end=st.sampled_from([None, None, None, 0, 1, 65, 67, 143]))
    def report(self, end: int | None) -> None:
        """The coordinator tells of progress, or how the attempt ends."""
        self.life.report(end)

    # What users do.

    @event(change=st.sampled_from([True, False, True, False, 1, 2, 3]), heard=st.just(0) | HEARD)
    def edit(self, change: bool | int) -> None:
        """The job is suspended, resumed or scaled."""
        if self.server.job is not None and isinstance(change, bool):
            self.server.edit(runPolicy={**self.server.job["spec"]["runPolicy"], "suspend": change})
        elif self.server.job is not None:
            self.server.edit(workers={"replicas": change})
            self.judge.fewest_workers = min(self.judge.fewest_workers, change)

    @event(
        how=st.sampled_from(["at once", "after its pods", "none"]), early=st.sampled_from([False, False, False, True])
    )
    def replace(self, how: str, early: bool) -> None:
        """A job that has ended, or early, is deleted; another one of its name is made with or after that, or none."""
        if self.server.job is not None and (early or finished(self.server.job.get("status", {}))):
            self.server.withdraw()
            if how != "at once":
                self.server.collect_garbage()
        if self.server.job is None and how != "none":
            self.server.submit(self.manifest)
            self.judge.fewest_workers = self.judge.replicas

    # What happens to the operator and its watches.

    @event(how=st.sampled_from(["lose", "repeat", "reorder", "reconnect"]), which=WHICH, number=WHICH)
    def disturb_watch(self, how: str, which: int, number: int) -> None:
        """An event is lost, repeated or late, or the watch begins anew."""
        operator = self.operators[which % len(self.operators)]
        disturb: dict[str, Callable[[int], None]] = {
            "lose": operator.lose,
            "repeat": operator.repeat,
            "reorder": operator.delay,
            "reconnect": lambda _: operator.connect(),
        }
        disturb[how](number)

    @event(how=st.sampled_from(["another starts", "the first ends", "restart", "hear during requests", "hear between"]))
    def change_operator(self, how: str) -> None:
        """Another operator leads and the first has not noticed; or watch events come in between requests, or not."""
        if how == "another starts" and len(self.operators) == 1:
            self.operators.append(Operator(self.server, METRICS))
        elif how == "the first ends" and len(self.operators) == 2:
            self.operators.pop(0).die()
        elif how == "restart":
            self._replace(self.operators[-1])
        self.chatty = how == "hear during requests"

    # The end.

    def teardown(self) -> None:
        """Nothing goes wrong any more, and time passes: all must be as it should be, and stay so."""
        self.tally.lengths.append(self.events)
        self.faults.clear()
        while len(self.operators) > 1:
            self.operators.pop(0).die()
        operator = self.operators[0]
        for name in [None, None, *self.life.processes()[-1:]]:  # a lost event is noticed by the second rest
            if name is not None and name in self.life.processes():
                self.life.end(name, 137)  # only the deadline of its back-off wakes the job for it
            self._rest(operator)
            self.server.now += timedelta(seconds=301)
        self._rest(operator)  # the time of a job that has ended may be over
        assert_settled(self.judge)
        self.tally.happened += self.judge.happened
        for last in (operator, Operator(self.server, METRICS)):
            version, events = self.server.version, len(self.server.events)
            last.hear()
            self._pass(last)
            assert (self.server.version, len(self.server.events)) == (version, events), "a further pass writes"

    def _rest(self, operator: Operator) -> None:
        """Until nothing has changed for a while. Only events and what the operator has asked for wake it."""
        quiet_since = self.server.now
        passes = 0
        while self.server.now < quiet_since + PATIENCE:
            passes += 1
            assert passes < MOST_PASSES, "it does not come to rest"
            version = self.server.version
            self.life.rest()
            self._work(operator)
            if self.server.version != version:
                quiet_since = self.server.now
            else:
                soon = self.server.now + timedelta(seconds=10)
                self.server.now = max(self.server.now, operator.due) if operator.due and operator.due < soon else soon

    def _strike(self, how: str, which: int, code: int) -> None:
        strikes: dict[str, Callable[[str], None]] = {
            "end": lambda name: self.life.end(name, code),
            "run out of memory": self.life.run_out_of_memory,
            "evict": self.server.evict,
            "lose node": self.life.lose_node,
            "delete": self.server.stop,
            "remove": self.server.remove,
        }
        if names := sorted(self.server.live) if how in ("delete", "remove") else self.life.processes():
            strikes[how](names[which % len(names)])

    def live_on(self, seconds: int, heard: int | None) -> None:
        """Time passes, pods begin and end, and the operators work."""
        self.server.now += timedelta(seconds=seconds)
        self.life.go_on()
        for operator in tuple(self.operators):
            if heard is None:
                self._work(operator)
            else:
                operator.hear(heard)
                self._pass(operator)

    def _work(self, operator: Operator) -> None:
        operator.hear()
        if operator.due is not None and operator.due <= self.server.now:
            self._pass(operator)

    def _pass(self, operator: Operator) -> None:
        writes = self.server.status_writes
        self.working = operator
        try:
            operator.work()
        except Crash:
            self._replace(operator)
        except Fenced:
            assert operator.epoch < max(other.epoch for other in self.operators), "nobody has replaced it"
            operator.die()
            self.operators.remove(operator)
        assert self.server.status_writes <= writes + 1, "more than one status write in a pass"

    def _replace(self, operator: Operator) -> None:
        """It comes back and leads; the one that ends first is always the one that leads no more."""
        operator.die()
        self.operators.remove(operator)
        self.operators.append(Operator(self.server, METRICS))

    def _gate(self, point: str, when: str) -> None:
        if self.chatty:
            self.working.hear()
        if (point, when) in self.faults:
            fault = self.faults.pop((point, when))()
            if isinstance(fault, Crash):
                self.tally.crashes[point, when] += 1
            raise fault


def histories_of(number: int) -> settings:
    """So many histories, the same ones each time."""
    return settings(
        max_examples=number,
        stateful_step_count=STEPS,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )


def run_histories(how: settings) -> Tally:
    """Live through histories.

    Raises:
        AssertionError: the operator has done something wrong in one of them.
    """
    Histories.tally = Tally()
    run_state_machine_as_test(Histories, settings=how)
    return Histories.tally
