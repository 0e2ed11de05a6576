"""Histories of a job: a state machine over the real operator, a simulated API server and everything that goes wrong."""

import functools
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from cluster_life import ClusterLife
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from judge import BACK_OFF, LONGEST_BACK_OFF, Judge
from settled import assert_settled
from simulated import POINTS, PREPARE, Server, manifest
from simulated_operator import Operator
from status_rules import finished

from gmeta_operator.client import ApiError

READS = ("list Pods", "get job")
WHICH = st.integers(0, 11)
"""Which of those that something may happen to."""

STRIKES = ("end", "end", "end", "run out of memory", "evict", "lose node", "delete", "remove")
CODES = st.sampled_from([137, 1, 68, 67, 143, 68, 137, 65])
SECONDS = st.sampled_from([1, 2, 5, 11, 21, 41, 61, 301])
PATIENCE = timedelta(seconds=100)
"""Longer than any back-off and than a lost pod is waited for."""

STEPS = 45
MOST_PASSES = 300

CRASHES: Counter[tuple[str, str]] = Counter()
"""How often the operator has crashed before and after each write, over all histories."""

EVENTS: Counter[int] = Counter()
"""Histories by their number of events."""


class Crash(BaseException):
    """The operator's process ends, here and now."""


def event(**given: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """A rule of the state machine that is counted as an event of its history."""

    def register(happen: Callable[..., None]) -> Any:
        @functools.wraps(happen)
        def counted(self: "Histories", **chosen: Any) -> None:
            self.events += 1
            happen(self, **chosen)

        return rule(**given)(counted)

    return register


class Histories(RuleBasedStateMachine):
    """One job, one operator (two for a while), and a cluster on which things happen."""

    @initialize(
        replicas=st.integers(1, 3),
        limit=st.sampled_from([6, 4, 3, 2, 1, 0]),
        prepare=st.booleans(),
        policy=st.sampled_from(["Running", "All"]),
    )
    def submit(self, replicas: int, limit: int, prepare: bool, policy: str) -> None:
        data = {"volume": "all", "path": "set", **({"prepare": PREPARE} if prepare else {})}
        self.manifest = manifest(
            data=data,
            workers={"replicas": replicas},
            runPolicy={"cleanPodPolicy": policy},
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
        self.operators = [Operator(self.server)]
        self.faults: dict[tuple[str, str], Callable[[], BaseException]] = {}
        self.chatty = False
        self.events = 0

    @event(seconds=SECONDS)
    def live(self, seconds: int) -> None:
        """Nothing goes wrong for a while."""
        self._live(seconds)

    # The operator and its watches.

    @event(which=WHICH, number=st.integers(0, 4), seconds=st.sampled_from([0, 1, 11]))
    def work_on_hearsay(self, which: int, number: int, seconds: int) -> None:
        """A pass while some of the events are still under way."""
        self.server.now += timedelta(seconds=seconds)
        operator = self.operators[which % len(self.operators)]
        operator.hear(number)
        self._pass(operator)

    @event(how=st.sampled_from(["lose", "repeat", "reorder", "reconnect"]), which=WHICH, number=WHICH)
    def disturb_watch(self, how: str, which: int, number: int) -> None:
        """An event is lost, repeated or late, or the watch begins anew."""
        operator = self.operators[which % len(self.operators)]
        disturb = {
            "lose": operator.lose,
            "repeat": operator.repeat,
            "reorder": operator.delay,
            "reconnect": lambda _: operator.connect(),
        }
        disturb[how](number)

    @event(point=st.sampled_from(POINTS), when=st.sampled_from(["before", "after"]), seconds=SECONDS)
    def crash(self, point: str, when: str, seconds: int) -> None:
        """The operator crashes at the next such write."""
        self.faults[point, when] = Crash
        self._live(seconds)

    @event(
        point=st.sampled_from(POINTS + READS),
        answer=st.sampled_from([403, 404, 409, 500, "lost", "none"]),
        seconds=SECONDS,
    )
    def fail(self, point: str, answer: int | str, seconds: int) -> None:
        """The next such request is refused or not answered; lost: though it is carried out."""
        when = "after" if answer == "lost" else "before"
        self.faults[point, when] = lambda: ApiError(answer if isinstance(answer, int) else 0, f"refused: {answer}")
        self._live(seconds)

    @event(how=st.sampled_from(["another starts", "the first ends", "restart", "hear during requests", "hear between"]))
    def change_operator(self, how: str) -> None:
        """Another operator starts while the first has not noticed; or watch events come in between requests, or not."""
        if how == "another starts" and len(self.operators) == 1:
            self.operators.append(Operator(self.server))
        elif how == "the first ends" and len(self.operators) == 2:
            self.operators.pop(0).die()
        elif how == "restart":
            self._replace(self.operators[-1])
        self.chatty = how == "hear during requests"

    # The cluster.

    @event(how=st.sampled_from(STRIKES), which=WHICH, code=CODES, seconds=st.just(0) | SECONDS)
    def strike(self, how: str, which: int, code: int, seconds: int) -> None:
        """Something happens to a pod."""
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
        if seconds:
            self._live(seconds)

    @precondition(lambda self: self.server.job is not None)
    @event(end=st.sampled_from([None, None, None, 0, 1, 65, 67, 143]), seconds=SECONDS)
    def report(self, end: int | None, seconds: int) -> None:
        """The coordinator tells of progress, or how the attempt ends."""
        self.life.report(end)
        self._live(seconds)

    # The users.

    @precondition(lambda self: self.server.job is not None)
    @event(change=st.sampled_from([True, False, 1, 2, 3]), seconds=st.just(0) | SECONDS)
    def edit(self, change: bool | int, seconds: int) -> None:
        """The job is suspended, resumed or scaled."""
        assert self.server.job is not None
        if isinstance(change, bool):
            self.server.edit(runPolicy={**self.server.job["spec"]["runPolicy"], "suspend": change})
        else:
            self.server.edit(workers={"replicas": change})
            self.judge.fewest_workers = min(self.judge.fewest_workers, change)
        if seconds:
            self._live(seconds)

    @event(
        how=st.sampled_from(["another", "another, later", "another, at once", "none", "another"]),
        weight=st.integers(0, 3),
    )
    def replace(self, how: str, weight: int) -> None:
        """The job is deleted, and another one of its name made: at once, after its pods are gone, or never."""
        if self.server.job is not None and (weight == 0 or finished(self.server.job.get("status", {}))):
            self.server.withdraw()
            if how == "another, later":
                self._live(11)
            if how != "another, at once":
                self.server.collect_garbage()
        if self.server.job is None and how != "none":
            self.server.submit(self.manifest)
            self.judge.fewest_workers = self.judge.replicas

    # The end.

    def teardown(self) -> None:
        """Nothing goes wrong any more, and time passes: all must be as it should be, and stay so."""
        EVENTS[self.events] += 1
        self.faults.clear()
        while len(self.operators) > 1:
            self.operators.pop(0).die()
        operator = self.operators[0]
        for _ in range(2):
            self._rest(operator)
            self.server.now += timedelta(seconds=301)
        assert_settled(self.judge)
        for last in (operator, Operator(self.server)):
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

    def _live(self, seconds: int) -> None:
        """Time passes, pods start and leave, all is heard, and the work queue gives the job where it is due."""
        self.server.now += timedelta(seconds=seconds)
        self.life.go_on()
        for operator in tuple(self.operators):
            self._work(operator)

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
        assert self.server.status_writes <= writes + 1, "more than one status write in a pass"

    def _replace(self, operator: Operator) -> None:
        operator.die()
        self.operators[self.operators.index(operator)] = Operator(self.server)

    def _gate(self, point: str, when: str) -> None:
        if self.chatty:
            self.working.hear()
        if (point, when) in self.faults:
            fault = self.faults.pop((point, when))()
            if isinstance(fault, Crash):
                CRASHES[point, when] += 1
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


def run_histories(how: settings) -> None:
    """Live through histories.

    Raises:
        AssertionError: the operator has done something wrong in one of them.
    """
    run_state_machine_as_test(Histories, settings=how)
