"""What the coordinator knows, and how each message changes it. Pure: no clock, no disk, no network.

A transition returns the next state, the reply and the effects. The server performs the effects first and takes over
the next state only if all of them succeed, so a full disk leaves the state as it was.
"""

from dataclasses import dataclass, field, replace

from gmeta_worker.checkpoint.manifest import CommitManifest
from gmeta_worker.coordination import joining, rounds
from gmeta_worker.coordination.commits import Commits, hand_in
from gmeta_worker.coordination.goodput import Account, entered
from gmeta_worker.coordination.membership import End, Membership, Rules, committed, heard_rank
from gmeta_worker.coordination.messages import (
    Accepted,
    Beat,
    CommitRef,
    Ended,
    Evaluation,
    Export,
    Finish,
    Formed,
    FromMember,
    Join,
    Leave,
    Message,
    Orders,
    Progress,
    Recorded,
    Refusal,
    Reply,
    Round,
    ShardWritten,
    Wait,
)
from gmeta_worker.coordination.rates import Sighting, seen

POLL_SECONDS = 0.5
"""Pause between two requests of an agent that waits."""
END_SECONDS = 10.0
"""Time for ranks to end by themselves once the attempt has ended."""
CURVE_POINTS = 200
"""Progress is recorded when the job has become older by one part in so many: events stay few however long it runs."""


@dataclass(frozen=True)
class State:
    """A job's attempt as the coordinator knows it.

    Attributes:
        attempt: the current attempt; every message of another one is refused.
        commits: the newest commit and what is handed in of the next.
        rules: what the manifest says about membership.
        membership: who takes part.
        warnings: damaged commits that were skipped for the newest.
        progress: newest progress.
        progressed: when it came.
        recorded: when the newest progress that is among the events came.
        window: sightings that the rates are computed from.
        evaluation: newest evaluation.
        evaluations: evaluations received in this attempt.
        export: the export that is being made, or was made last.
        finished: how the attempt ended; after it members are only told so.
        account: where the time went, in former attempts too.
    """

    attempt: int
    commits: Commits
    rules: Rules = field(default_factory=Rules)
    membership: Membership = field(default_factory=Membership)
    warnings: tuple[str, ...] = ()
    progress: Progress | None = None
    progressed: float = 0.0
    recorded: float = 0.0
    window: tuple[Sighting, ...] = ()
    evaluation: Evaluation | None = None
    evaluations: int = 0
    export: Export | None = None
    finished: Finish | None = None
    account: Account = field(default_factory=Account)

    @property
    def generation(self) -> int:
        """Raised with every round; messages of older ones are refused."""
        return self.membership.generation


@dataclass(frozen=True)
class Append:
    """Effect: append to the job's events, with the time on the job's clock and the generation."""

    message: Recorded
    at: float
    generation: int


@dataclass(frozen=True)
class Publish:
    """Effect: make a commit durable by writing its manifest."""

    manifest: CommitManifest


@dataclass(frozen=True)
class Transition:
    """What a message does."""

    state: State
    reply: Reply
    effects: tuple[Append | Publish, ...] = ()


def transition(state: State, message: Message, now: float) -> Transition:
    """Return what `message` does to `state` at `now` (seconds on the job's clock)."""
    if refusal := _fence(state, message) or _after_the_end(state, message):
        return Transition(state, refusal)
    state = _observed(state, message, now)
    if isinstance(message, Progress):
        return _progress(state, message, now)
    return _with_last_progress(state, _decide(state, message, now))


def _decide(state: State, message: Message, now: float) -> Transition:
    match message:
        case Join():
            return _join(state, message, now)
        case Beat():
            return _beat(state, message, now)
        case Leave():
            left = joining.leave(state.membership, message, now)
            return Transition(replace(state, membership=left), Accepted())
        case Evaluation():
            return _evaluation(state, message, now)
        case ShardWritten():
            return _shard_written(state, message, now)
        case Export():
            return _export(state, message, now)
        case Finish():
            return _finish(state, message, now)
        case Progress():
            return _progress(state, message, now)


def with_commit(state: State, newest: CommitManifest | None, warnings: tuple[str, ...]) -> State:
    """Return the state with the newest whole commit as the disk has it: what is not on the disk did not happen."""
    generation = max(state.generation, newest.generation if newest else 0)
    return replace(
        state,
        commits=replace(state.commits, newest=newest),
        warnings=warnings,
        membership=replace(state.membership, generation=generation),
    )


def commit_ref(manifest: CommitManifest) -> CommitRef:
    """Return the name of a commit."""
    return CommitRef(attempt=manifest.attempt, generation=manifest.generation, step=manifest.step, path=manifest.folder)


def _fence(state: State, message: Message) -> Refusal | None:
    if message.attempt != state.attempt:
        return _fenced(f"attempt {message.attempt} is not current, attempt {state.attempt} is")
    if isinstance(message, Join | Beat | Leave):
        return None
    if message.generation is not None and message.generation != state.generation:
        return _fenced(f"generation {message.generation} is not current, generation {state.generation} is")
    if isinstance(message, FromMember) and message.rank >= state.membership.world_size:
        return _fenced(f"rank {message.rank} is no member of generation {state.generation}")
    return None


def _fenced(what: str) -> Refusal:
    return Refusal(reason="fenced", message=f"{what}: another process has taken over, this one must stop")


def _after_the_end(state: State, message: Message) -> Refusal | None:
    if state.finished is None or message == state.finished or isinstance(message, Join | Beat | Leave):
        return None
    return Refusal(
        reason="finished",
        message=f"attempt {state.attempt} has ended ({state.finished.outcome}); start the job again to go on",
    )


def _observed(state: State, message: Message, now: float) -> State:
    membership = rounds.observe(state.membership, state.rules, now)
    if isinstance(message, FromMember):
        membership = heard_rank(membership, message.rank, now)
    return replace(state, membership=membership)


def _join(state: State, message: Join, now: float) -> Transition:
    if state.finished:
        return Transition(state, _ended(state.finished))
    joined = joining.join(state.membership, message, state.rules, now)
    if isinstance(joined, Refusal):
        return Transition(state, joined)
    state = replace(state, membership=joined)
    if end := rounds.too_many_failures(joined, state.rules):
        return _give_up(state, end, now)
    newest = state.commits.newest
    formed = rounds.form(joined, state.rules, commit_ref(newest) if newest else None, now)
    if formed is None:
        return Transition(state, _place_or_wait(state, message, now))
    after = replace(state, membership=formed, window=())
    event = _formed(after, joined.end)
    after = replace(after, account=entered(state.account, event, now))
    return Transition(after, _place_or_wait(after, message, now), (Append(event, now, formed.generation),))


def _formed(state: State, end: End | None) -> Formed:
    membership = state.membership
    return Formed(
        attempt=state.attempt,
        generation=membership.generation,
        members=membership.members,
        commit=membership.commit,
        cause=end.cause if end else None,
        reason=membership.reason,
    )


def _place_or_wait(state: State, message: Join, now: float) -> Round | Wait:
    membership = state.membership
    place = joining.place_given(membership, message)
    if place is None:
        return Wait(seconds=POLL_SECONDS, message=rounds.missing(membership, state.rules, now))
    return Round(
        generation=membership.generation,
        members=membership.members,
        place=place,
        world_size=membership.world_size,
        commit=membership.commit,
        warnings=state.warnings,
        weights=(1.0,) * membership.world_size,
    )


def _give_up(state: State, end: End, now: float) -> Transition:
    """One failure too many without a commit in between: the attempt has failed."""
    finish = Finish(
        attempt=state.attempt,
        outcome="failed",
        message=f"{end.reason}, and {state.rules.backoff_limit} restarts before it came to no commit either "
        "(spec.faultTolerance.backoffLimit); see that worker's log",
        exit_code=end.exit_code,
    )
    return Transition(_ended_by(state, finish, now), _ended(finish), (Append(finish, now, state.generation),))


def _ended(finish: Finish) -> Ended:
    return Ended(outcome=finish.outcome, message=finish.message, exit_code=finish.exit_code)


def _beat(state: State, message: Beat, now: float) -> Transition:
    if state.finished:
        ended = _ended(state.finished)
        reason = f"the attempt has ended: {ended.outcome}"
        return Transition(state, Orders(rejoin=True, grace=END_SECONDS, message=reason, ended=ended))
    membership, reply = joining.beat(state.membership, message, now)
    return Transition(replace(state, membership=membership), reply)


def _progress(state: State, message: Progress, now: float) -> Transition:
    sighting = Sighting(now, message.samples, message.tasks, message.wait_seconds)
    account = entered(state.account, message, now)
    after = replace(state, progress=message, progressed=now, window=seen(state.window, sighting), account=account)
    if now - state.recorded < now / CURVE_POINTS:
        return Transition(after, Accepted())
    return Transition(replace(after, recorded=now), Accepted(), (Append(message, now, state.generation),))


def _with_last_progress(state: State, result: Transition) -> Transition:
    """Return the transition with the progress that stands before it among the events, if it was left out so far."""
    if state.progress is None or state.progressed <= state.recorded or not result.effects:
        return result
    left_out = Append(state.progress, state.progressed, state.generation)
    return replace(result, state=replace(result.state, recorded=state.progressed), effects=(left_out, *result.effects))


def _evaluation(state: State, message: Evaluation, now: float) -> Transition:
    if state.evaluation and _place(message) == _place(state.evaluation):
        return Transition(state, Accepted())
    after = replace(state, evaluation=message, evaluations=state.evaluations + 1)
    return Transition(after, Accepted(), (Append(message, now, state.generation),))


def _place(evaluation: Evaluation) -> tuple[int, int, str]:
    return evaluation.generation, evaluation.step, evaluation.split


def _shard_written(state: State, message: ShardWritten, now: float) -> Transition:
    done = hand_in(state.commits, message, state.membership.world_size)
    after = replace(state, commits=done.commits)
    if done.publish is None or done.lead is None:
        return Transition(after, done.reply)
    after = replace(after, membership=committed(state.membership))
    return Transition(after, done.reply, (Publish(done.publish), Append(done.lead, now, state.generation)))


def _export(state: State, message: Export, now: float) -> Transition:
    if message == state.export:
        return Transition(state, Accepted())
    return Transition(replace(state, export=message), Accepted(), (Append(message, now, state.generation),))


def _finish(state: State, message: Finish, now: float) -> Transition:
    if state.finished:
        return Transition(state, Accepted())
    return Transition(_ended_by(state, message, now), Accepted(), (Append(message, now, state.generation),))


def _ended_by(state: State, finish: Finish, now: float) -> State:
    return replace(state, finished=finish, account=entered(state.account, finish, now))
