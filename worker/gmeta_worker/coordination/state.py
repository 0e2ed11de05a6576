"""What the coordinator knows, and how each message changes it. Pure: no clock, no disk, no network.

A transition returns the next state, the reply and the effects. The server performs the effects first and takes over
the next state only if all of them succeed, so a full disk leaves the state as it was.
"""

from dataclasses import dataclass, replace

from pydantic import JsonValue

from gmeta_api.document import JobIdentity
from gmeta_worker.checkpoint.manifest import CommitManifest, incomplete
from gmeta_worker.coordination.messages import (
    Accepted,
    CommitRef,
    Committed,
    Evaluation,
    Finish,
    FromMember,
    Message,
    Progress,
    Refusal,
    Register,
    Reply,
    ShardWritten,
    Welcome,
)
from gmeta_worker.coordination.rates import Sighting, seen

WORLD_SIZE = 1
CURVE_POINTS = 200
"""Progress is recorded when the job has become older by one part in so many: events stay few however long it runs."""


@dataclass(frozen=True)
class State:
    """A job's attempt as the coordinator knows it.

    Attributes:
        job: whose commits these are.
        spec: the job's spec, for the commit manifests.
        attempt: the current attempt; every message of another one is refused.
        generation: raised with every new process that joins; messages of older ones are refused.
        member: the process of the current generation.
        heard: when the member last sent something, in seconds on the job's clock.
        commit: the newest whole commit.
        commits: commits made in this attempt.
        warnings: damaged commits that were skipped for `commit`.
        progress: newest progress.
        progressed: when it came.
        recorded: when the newest progress that is among the events came.
        window: sightings that the rates are computed from.
        evaluation: newest evaluation.
        evaluations: evaluations received in this attempt.
        finished: how the attempt ended; nothing is accepted after it.
    """

    job: JobIdentity
    spec: dict[str, JsonValue]
    attempt: int
    generation: int = 0
    member: Register | None = None
    heard: float = 0.0
    commit: CommitManifest | None = None
    commits: int = 0
    warnings: tuple[str, ...] = ()
    progress: Progress | None = None
    progressed: float = 0.0
    recorded: float = 0.0
    window: tuple[Sighting, ...] = ()
    evaluation: Evaluation | None = None
    evaluations: int = 0
    finished: Finish | None = None


@dataclass(frozen=True)
class Append:
    """Effect: append a message to the job's events, with its time on the job's clock and its generation."""

    message: Message
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
    if isinstance(message, Progress):
        return _progress(state, message, now)
    return _with_last_progress(state, _decide(state, message, now))


def _decide(state: State, message: Register | Evaluation | ShardWritten | Finish, now: float) -> Transition:
    match message:
        case Register():
            return _register(state, message, now)
        case Evaluation():
            return _evaluation(state, message, now)
        case ShardWritten():
            return _shard_written(state, message, now)
        case Finish():
            return _finish(state, message, now)


def with_commit(state: State, commit: CommitManifest | None, warnings: tuple[str, ...]) -> State:
    """Return the state with the newest whole commit as the disk has it: what is not on the disk did not happen."""
    generation = max(state.generation, commit.generation if commit else 0)
    return replace(state, commit=commit, warnings=warnings, generation=generation)


def commit_ref(manifest: CommitManifest) -> CommitRef:
    """Return the name of a commit."""
    return CommitRef(attempt=manifest.attempt, generation=manifest.generation, step=manifest.step, path=manifest.folder)


def _fence(state: State, message: Message) -> Refusal | None:
    if message.attempt != state.attempt:
        return _fenced(f"attempt {message.attempt} is not current, attempt {state.attempt} is")
    if isinstance(message, Register):
        return None
    if message.generation is not None and message.generation != state.generation:
        return _fenced(f"generation {message.generation} is not current, generation {state.generation} is")
    if isinstance(message, FromMember) and (state.member is None or message.rank >= WORLD_SIZE):
        return _fenced(f"rank {message.rank} is no member of generation {state.generation}")
    return None


def _fenced(what: str) -> Refusal:
    return Refusal(reason="fenced", message=f"{what}: another process has taken over, this one must stop")


def _after_the_end(state: State, message: Message) -> Refusal | None:
    if state.finished is None or message == state.finished:
        return None
    return Refusal(
        reason="finished",
        message=f"attempt {state.attempt} has ended ({state.finished.outcome}); start the job again to go on",
    )


def _register(state: State, message: Register, now: float) -> Transition:
    if message.worker >= WORLD_SIZE:
        return Transition(
            state,
            Refusal(
                reason="invalid",
                message=f"worker {message.worker} cannot join: this version runs one worker process; "
                "set spec.workers.replicas and spec.workers.processesPerWorker to 1",
            ),
        )
    if state.member and state.member.process == message.process:
        return Transition(replace(state, heard=now), _welcome(state))
    joined = replace(
        state,
        generation=state.generation + 1,
        member=message,
        heard=now,
        window=(),
    )
    return Transition(joined, _welcome(joined), (Append(message, now, joined.generation),))


def _welcome(state: State) -> Welcome:
    return Welcome(
        rank=0,
        world_size=WORLD_SIZE,
        generation=state.generation,
        commit=commit_ref(state.commit) if state.commit else None,
        warnings=state.warnings,
    )


def _progress(state: State, message: Progress, now: float) -> Transition:
    sighting = Sighting(now, message.samples, message.tasks, message.wait_seconds)
    after = replace(state, progress=message, progressed=now, heard=now, window=seen(state.window, sighting))
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
        return Transition(replace(state, heard=now), Accepted())
    after = replace(state, evaluation=message, evaluations=state.evaluations + 1, heard=now)
    return Transition(after, Accepted(), (Append(message, now, state.generation),))


def _place(evaluation: Evaluation) -> tuple[int, int, str]:
    return evaluation.generation, evaluation.step, evaluation.split


def _shard_written(state: State, message: ShardWritten, now: float) -> Transition:
    if problem := incomplete(message.files, message.layout.blocks):
        return Transition(state, Refusal(reason="invalid", message=f"step {message.step}: {problem}"))
    newest, manifest = state.commit, _manifest(state, message)
    if newest and manifest.position == newest.position and manifest.files == newest.files:
        return Transition(replace(state, heard=now), Committed(step=message.step))
    if newest and manifest.position <= newest.position:
        return Transition(state, _out_of_order(message, newest))
    after = replace(state, commit=manifest, commits=state.commits + 1, heard=now)
    return Transition(after, Committed(step=message.step), (Publish(manifest), Append(message, now, state.generation)))


def _out_of_order(message: ShardWritten, newest: CommitManifest) -> Refusal:
    return Refusal(
        reason="order",
        message=f"step {message.step} cannot be committed: step {newest.step} is the newest commit of this attempt, "
        "and a commit is neither replaced nor overtaken; register again and go on from it",
    )


def _manifest(state: State, message: ShardWritten) -> CommitManifest:
    return CommitManifest(
        job=state.job,
        attempt=message.attempt,
        generation=message.generation,
        step=message.step,
        ledger=message.ledger,
        layout=message.layout,
        spec=state.spec,
        files=message.files,
        evaluation=message.evaluation,
        trainer=message.trainer,
    )


def _finish(state: State, message: Finish, now: float) -> Transition:
    if state.finished:
        return Transition(state, Accepted())
    return Transition(replace(state, finished=message), Accepted(), (Append(message, now, state.generation),))
