"""Candidates with clocks of their own, and requests that are late, lost and refused: never do two lead at a time."""

from dataclasses import dataclass, replace

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gmeta_operator.lease import (
    LEASE_SECONDS,
    RENEW_DEADLINE,
    RENEW_EVERY,
    Candidate,
    Lease,
    Lost,
    Renew,
    Take,
    Wait,
    leads,
    next_step,
    observed,
    read_lease,
    written,
)

WHICH = st.integers(0, 2)
LIVE = ("look", "send", "arrive", "answer")
ACTS = st.sampled_from(
    [LIVE, (), LIVE, ("send", "arrive", "lose"), ("look", "send"), ("arrive",), ("answer",), ("look",)]
)
"""How far a candidate comes within a tick: all the way, or with its requests late or lost."""

HELD = Lease("b/1", 4, "7")


@dataclass
class Request:
    """A write that is under way; `result` is on its way back."""

    transitions: int
    version: str | None
    sent: float
    result: Lease | None = None


@dataclass
class Process:
    """A candidate whose clock shows another time than all others'."""

    known: Candidate
    offset: float
    request: Request | None = None


class Candidates(RuleBasedStateMachine):
    """Three pods and one Lease."""

    @initialize(offsets=st.lists(st.integers(-1000, 1000), min_size=3, max_size=3))
    def start(self, offsets: list[int]) -> None:
        self.now = 0.0
        self.version = 0
        self.lease: Lease | None = None
        self.epochs: list[int] = []
        self.processes = [Process(Candidate(f"pod-{n}/0"), offset) for n, offset in enumerate(offsets)]

    def clock(self, process: Process) -> float:
        return self.now + process.offset

    @rule(seconds=st.sampled_from([1.0, 3.0, 5.0, 9.0, 15.0]), acts=st.tuples(ACTS, ACTS, ACTS))
    def tick(self, seconds: float, acts: tuple[tuple[str, ...], ...]) -> None:
        """Time passes, and each candidate comes so far."""
        self.now += seconds
        for process, parts in zip(self.processes, acts, strict=True):
            for part in parts:
                getattr(self, part)(process)

    def look(self, process: Process) -> None:
        process.known = observed(process.known, self.lease, self.clock(process))

    def send(self, process: Process) -> None:
        """A write is sent; when it arrives, if ever, is another matter."""
        known, now = process.known, self.clock(process)
        step = next_step(known, now) if process.request is None else Wait()
        if isinstance(step, Lost):
            self._restart(self.processes.index(process))
        elif not isinstance(step, Wait):
            transitions = step.transitions if isinstance(step, Take) else known.lease.transitions if known.lease else 0
            process.request = Request(transitions, known.lease.version if known.lease else None, now)

    def arrive(self, process: Process) -> None:
        """A write is carried out if the Lease is at its version."""
        request = process.request
        if request is None or request.result is not None:
            return
        if request.version != (self.lease and self.lease.version):
            process.request = None
            return
        self.version += 1
        if self.lease is None or request.transitions != self.lease.transitions:
            self.epochs.append(request.transitions)
        self.lease = request.result = Lease(process.known.me, request.transitions, str(self.version))

    def answer(self, process: Process) -> None:
        """The answer to a write comes."""
        if process.request is not None and process.request.result is not None:
            process.known = written(process.known, process.request.result, process.request.sent)
            process.request = None

    def lose(self, process: Process) -> None:
        """No answer will ever come."""
        process.request = None

    @rule(which=WHICH, crash=st.booleans())
    def end(self, which: int, crash: bool) -> None:
        """A crash; or an orderly end, where the work is over before the Lease is given back."""
        process = self.processes[which]
        if not crash and leads(process.known, self.clock(process)) and self.lease == process.known.lease:
            assert self.lease is not None
            self.version += 1
            self.lease = replace(self.lease, holder="", version=str(self.version))
        self._restart(which)

    def _restart(self, which: int) -> None:
        """Another process in the same pod; what the former one has sent never arrives later than this."""
        pod, number = self.processes[which].known.me.split("/")
        self.processes[which] = Process(Candidate(f"{pod}/{int(number) + 1}"), self.processes[which].offset)

    @invariant()
    def at_most_one_leads(self) -> None:
        leaders = [each.known for each in self.processes if leads(each.known, self.clock(each))]
        assert len(leaders) <= 1, leaders

    @invariant()
    def epochs_rise(self) -> None:
        assert self.epochs == sorted(set(self.epochs))


TestCandidates = Candidates.TestCase
TestCandidates.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None, derandomize=True, phases=[Phase.generate]
)


def test_a_candidate_waits_a_whole_duration_by_its_own_clock_since_the_last_change_that_it_saw() -> None:
    seen = observed(Candidate("a/1"), HELD, 100.0)
    assert next_step(seen, 100.0 + LEASE_SECONDS - 0.1) == Wait()
    assert next_step(seen, 100.0 + LEASE_SECONDS) == Take(5)
    renewed = observed(seen, replace(HELD, version="8"), 110.0)
    assert next_step(renewed, 100.0 + LEASE_SECONDS) == Wait()
    assert next_step(observed(renewed, replace(HELD, version="8"), 124.0), 125.0) == Take(5)


def test_a_lease_is_taken_at_once_where_there_is_none_it_was_released_or_the_own_pods_former_process_had_it() -> None:
    assert next_step(Candidate("a/1"), 0.0) == Take(1)
    assert next_step(observed(Candidate("a/1"), replace(HELD, holder=""), 0.0), 0.0) == Take(5)
    assert next_step(observed(Candidate("b/2"), HELD, 0.0), 0.0) == Take(5)


def test_a_lease_that_somebody_deletes_is_not_taken_before_its_holder_must_have_noticed() -> None:
    gone = observed(observed(Candidate("a/1"), HELD, 0.0), None, 1.0)
    assert next_step(gone, LEASE_SECONDS) == Wait()
    assert next_step(gone, 1.0 + LEASE_SECONDS) == Take(1)


def test_a_leader_renews_until_the_lease_is_gone_or_anothers_or_the_deadline_has_passed() -> None:
    leader = written(Candidate("b/1"), HELD, 10.0)
    assert next_step(leader, 10.0 + RENEW_EVERY - 0.1) == Wait()
    assert next_step(leader, 10.0 + RENEW_EVERY) == Renew()
    assert next_step(leader, 10.0 + RENEW_DEADLINE) == Lost("the Lease could not be renewed for 10 s")
    assert next_step(observed(leader, replace(HELD, holder="a/1"), 12.0), 12.0) == Lost("a/1 holds the Lease")
    assert next_step(observed(leader, None, 12.0), 12.0) == Lost("somebody has deleted the Lease")
    assert [leads(leader, now) for now in (19.9, 20.0)] == [True, False]


def test_a_lease_without_a_spec_is_free() -> None:
    assert read_lease({"metadata": {"resourceVersion": "3"}}) == Lease("", 0, "3", LEASE_SECONDS)
