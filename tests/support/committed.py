"""Ranks in threads that commit through the real writer and the coordinator's own collection, and go on from it."""

from collections.abc import Sequence
from pathlib import Path

from many_ranks import Outcome, Rank

from gmeta_api.document import JobIdentity
from gmeta_api.spec import Spec
from gmeta_worker.checkpoint import Commit, CommitWriter, Ledger, load_commit, newest_valid, publish
from gmeta_worker.coordination.commits import Commits, hand_in
from gmeta_worker.coordination.messages import ShardWritten
from gmeta_worker.metaio import StepBatch
from gmeta_worker.parallel import Group
from gmeta_worker.training.commits import layout_of, restore_training, restore_weights, take_snapshot
from gmeta_worker.training.early_stop import Progress
from gmeta_worker.training.loop import Position

JOB = JobIdentity(name="demo", namespace="default")


def shard_of(rank: Rank, run: Path, step: int) -> ShardWritten:
    """Write a rank's files of a commit."""
    parts = rank.parts
    layout = layout_of(parts, 4)
    snapshot = take_snapshot(parts, rank.optimizer)
    files = snapshot.write(CommitWriter(run, 0, 1, layout, parts.store.blocks()), step)
    snapshot.rows.close()
    return ShardWritten(
        attempt=0,
        generation=1,
        rank=parts.group.rank,
        step=step,
        files=tuple(files),
        layout=layout,
        ledger=Ledger(global_step=step),
        trainer=Progress(best=0.5).model_dump(),
    )


def commit(run: Path, shards: Sequence[ShardWritten]) -> Commit:
    """What the coordinator does with the shards of all ranks."""
    commits = Commits(job=JOB, spec={})
    for shard in shards:
        done = hand_in(commits, shard, len(shards))
        commits = done.commits
    assert done.publish is not None
    publish(run, done.publish)
    found, skipped = newest_valid(run)
    assert found is not None
    assert skipped == ()
    return found


def train_and_write(spec: Spec, group: Group, batches: Sequence[StepBatch], run: Path) -> tuple[Outcome, ShardWritten]:
    """Train one rank and write its files of a commit."""
    rank = Rank.of(spec, group)
    results = [rank.step(batch, number) for number, batch in enumerate(batches)]
    return Outcome(rank.dense(), rank.rows(), results), shard_of(rank, run, len(batches))


def resume(spec: Spec, group: Group, found: Commit, batches: Sequence[StepBatch]) -> tuple[Outcome, Position]:
    """A rank that goes on from a commit; where it went on from."""
    rank = Rank.of(spec, group)
    loaded = load_commit(found)
    restore_weights(loaded, rank.parts)
    position = restore_training(loaded, rank.optimizer)
    first = position.ledger.global_step
    results = [rank.step(batch, first + number) for number, batch in enumerate(batches)]
    return Outcome(rank.dense(), rank.rows(), results), position
