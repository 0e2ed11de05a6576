"""Making commits: the ranks of a generation hand in their files of a step, and together they are a commit. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain, pairwise

from pydantic import JsonValue

from gmeta_api.document import JobIdentity
from gmeta_worker.checkpoint.manifest import CommitManifest, FileEntry, incomplete
from gmeta_worker.coordination.messages import Accepted, Committed, Refusal, ShardWritten


@dataclass(frozen=True)
class Commits:
    """What is committed, and what has been handed in of the next commit.

    Attributes:
        job: whose commits these are.
        spec: the job's spec, for the manifests.
        newest: the newest whole commit.
        made: commits made in this attempt.
        shards: what ranks have handed in of a step that is not committed yet, one generation's and one step's.
    """

    job: JobIdentity
    spec: dict[str, JsonValue]
    newest: CommitManifest | None = None
    made: int = 0
    shards: tuple[ShardWritten, ...] = ()


@dataclass(frozen=True)
class HandedIn:
    """What handing in a shard does.

    Attributes:
        commits: the state after it.
        reply: `Accepted` while other ranks are missing; the rank asks again until it is `Committed`.
        publish: the commit that is complete now and has to be made durable first.
        lead: rank 0's message of that commit, which stands for all of them among the job's events.
    """

    commits: Commits
    reply: Accepted | Committed | Refusal
    publish: CommitManifest | None = None
    lead: ShardWritten | None = None


def hand_in(commits: Commits, shard: ShardWritten, world_size: int) -> HandedIn:
    """Take the files of a rank of the current generation; every message may come again without harm.

    Args:
        commits: the state before.
        shard: a message that has passed the fence: its attempt and generation are the current ones.
        world_size: ranks of the generation.
    """
    newest = commits.newest
    if newest and (shard.attempt, shard.step) <= newest.position:
        return HandedIn(commits, _confirmed_or_refused(shard, newest))
    others = [each for each in commits.shards if each.generation == shard.generation and each.rank != shard.rank]
    if refusal := _disagreement(shard, others):
        return HandedIn(commits, refusal)
    shards = tuple(sorted((*others, shard), key=lambda each: each.rank))
    if len(shards) < world_size:
        return HandedIn(replace(commits, shards=shards), Accepted())
    return _complete(commits, shards)


def replay_commit(commits: Commits) -> Commits:
    """The state after a commit that the job's events tell of; which one is the newest only the disk knows."""
    return replace(commits, made=commits.made + 1)


def _confirmed_or_refused(shard: ShardWritten, newest: CommitManifest) -> Committed | Refusal:
    """A rank that asks again about the newest commit gets its answer, everything else is too late."""
    same_step = (shard.attempt, shard.step) == newest.position
    if same_step and set(shard.files) <= set(newest.files):
        return Committed(step=shard.step)
    return Refusal(
        reason="order",
        message=f"step {shard.step} cannot be committed: step {newest.step} is the newest commit of this attempt, "
        "and a commit is neither replaced nor overtaken; join again and go on from it",
    )


def _disagreement(shard: ShardWritten, others: Iterable[ShardWritten]) -> Refusal | None:
    """Ranks train in lockstep, so they hand in the same step with the same ledger and layout."""
    for other in others:
        if other.step != shard.step:
            return _refuse(
                "order",
                f"rank {shard.rank} hands in step {shard.step} while rank {other.rank} waits for step {other.step} to "
                "be committed; ranks must commit the same steps",
            )
        for field in ("ledger", "layout"):
            ours, theirs = getattr(shard, field), getattr(other, field)
            if ours != theirs:
                return _refuse(
                    "invalid",
                    f"step {shard.step}: the {field} of rank {shard.rank} is not that of rank {other.rank}: "
                    f"{ours!r} and {theirs!r}; all ranks must run the same job on the same data",
                )
    return None


def _complete(commits: Commits, shards: tuple[ShardWritten, ...]) -> HandedIn:
    lead = shards[0]
    files = tuple(chain.from_iterable(shard.files for shard in shards))
    if problem := _repeated(files) or incomplete(files, lead.layout.blocks):
        return HandedIn(commits, _refuse("invalid", f"step {lead.step}: {problem}"))
    manifest = CommitManifest(
        job=commits.job,
        attempt=lead.attempt,
        generation=lead.generation,
        step=lead.step,
        ledger=lead.ledger,
        layout=lead.layout,
        spec=commits.spec,
        files=files,
        evaluation=lead.evaluation,
        trainer=lead.trainer,
    )
    after = replace(commits, newest=manifest, made=commits.made + 1, shards=())
    return HandedIn(after, Committed(step=lead.step), manifest, lead)


def _repeated(files: tuple[FileEntry, ...]) -> str | None:
    names = sorted(file.path for file in files)
    twice = next((name for name, following in pairwise(names) if name == following), None)
    return twice and f"file {twice} was handed in twice"


def _refuse(reason: str, message: str) -> Refusal:
    return Refusal.model_validate({"reason": reason, "message": message})
