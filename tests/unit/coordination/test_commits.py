"""A commit is made when every rank of the generation has handed in the same step, and only then."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmeta_api.document import JobIdentity
from gmeta_worker.checkpoint import FileEntry, Layout, Ledger, Score, Table
from gmeta_worker.coordination.commits import Commits, HandedIn, hand_in, replay_commit
from gmeta_worker.coordination.messages import Accepted, Committed, Refusal, ShardWritten

LAYOUT = Layout(dim=4, tables={"movie": Table(rows=10, vocabulary="hash")})
EMPTY = Commits(job=JobIdentity(name="demo", namespace="default"), spec={"model": {}})


def shard(rank: int, step: int = 5, *, ranks: int = 3, generation: int = 1, **fields: Any) -> ShardWritten:
    """What `rank` of `ranks` hands in: its range of blocks, rank 0 the dense file too."""
    lo, hi = 4096 * rank // ranks, 4096 * (rank + 1) // ranks
    name = f"g{generation}.safetensors"
    rows = FileEntry(path=f"rows-{lo:04d}-{hi:04d}.{name}", kind="rows", blocks=(lo, hi), bytes=8, xxh3="0" * 16)
    dense = FileEntry(path=f"dense.{name}", kind="dense", bytes=8, xxh3="0" * 16)
    defaults = {
        "attempt": 0,
        "generation": generation,
        "rank": rank,
        "step": step,
        "files": (dense, rows) if rank == 0 else (rows,),
        "layout": LAYOUT,
        "ledger": Ledger(global_step=step, samples=50 * step),
    }
    return ShardWritten(**(defaults | fields))


def handed_in(commits: Commits, *shards: ShardWritten, ranks: int = 3) -> HandedIn:
    result = HandedIn(commits, Accepted())
    for each in shards:
        result = hand_in(result.commits, each, ranks)
    return result


def test_a_commit_is_the_union_of_all_ranks_and_speaks_with_rank_0s_words() -> None:
    score = Score(metric="auc", value=0.7)
    lead = shard(0, evaluation=score, trainer={"best": 0.7})
    waiting = handed_in(EMPTY, shard(2), lead)
    assert (waiting.reply, waiting.publish) == (Accepted(), None)
    done = hand_in(waiting.commits, shard(1), 3)
    assert done.reply == Committed(step=5)
    assert done.lead == lead
    assert done.publish is not None
    assert [file.path.split(".")[0] for file in done.publish.files] == [
        "dense", "rows-0000-1365", "rows-1365-2730", "rows-2730-4096",
    ]  # fmt: skip
    assert (done.publish.evaluation, done.publish.trainer, done.publish.spec) == (score, {"best": 0.7}, {"model": {}})
    assert done.commits == Commits(EMPTY.job, EMPTY.spec, newest=done.publish, made=1)


def test_every_rank_that_asks_again_is_told_that_the_step_is_committed() -> None:
    done = handed_in(EMPTY, *(shard(rank) for rank in range(3)))
    for rank in range(3):
        assert hand_in(done.commits, shard(rank), 3) == HandedIn(done.commits, Committed(step=5))


def test_what_an_older_generation_has_handed_in_counts_no_more() -> None:
    old = handed_in(EMPTY, shard(0, ranks=2), shard(1, step=5, generation=2, ranks=2), ranks=2)
    assert old.reply == Accepted()
    assert [(each.generation, each.rank) for each in old.commits.shards] == [(2, 1)]
    done = hand_in(old.commits, shard(0, generation=2, ranks=2), 2)
    assert done.publish is not None
    assert {file.path.split(".")[1] for file in done.publish.files} == {"g2"}


@pytest.mark.parametrize(
    ("second", "refusal"),
    [
        (
            shard(1, step=6),
            Refusal(
                reason="order",
                message="rank 1 hands in step 6 while rank 0 waits for step 5 to be committed; ranks must commit the "
                "same steps",
            ),
        ),
        (
            shard(1, ledger=Ledger(global_step=5, samples=251)),
            Refusal(
                reason="invalid",
                message="step 5: the ledger of rank 1 is not that of rank 0: Ledger(epoch=0, step=0, global_step=5, "
                "samples=251, tasks=0) and Ledger(epoch=0, step=0, global_step=5, samples=250, tasks=0); all ranks "
                "must run the same job on the same data",
            ),
        ),
        (
            shard(1, layout=LAYOUT.model_copy(update={"dim": 8})),
            Refusal(
                reason="invalid",
                message="step 5: the layout of rank 1 is not that of rank 0: Layout(dim=8, blocks=4096, "
                "tables={'movie': Table(rows=10, vocabulary='hash')}) and Layout(dim=4, blocks=4096, "
                "tables={'movie': Table(rows=10, vocabulary='hash')}); all ranks must run the same job on the same "
                "data",
            ),
        ),
    ],
    ids=["step", "ledger", "layout"],
)
def test_ranks_that_do_not_agree_are_refused(second: ShardWritten, refusal: Refusal) -> None:
    first = handed_in(EMPTY, shard(0))
    assert hand_in(first.commits, second, 3) == HandedIn(first.commits, refusal)


@pytest.mark.parametrize(
    ("last", "problem"),
    [
        (shard(0), None),
        (shard(0, files=shard(0).files[1:]), "a commit has exactly one file of kind 'dense'"),
        (
            shard(0, files=shard(0, ranks=4).files),
            "row files must hold blocks 0..4096 once: expected a file from block 1024, found 1365..2730",
        ),
        (
            shard(0, files=(*shard(0).files, shard(1).files[0])),
            "file rows-1365-2730.g1.safetensors was handed in twice",
        ),
    ],
    ids=["whole", "no dense file", "blocks missing", "twice"],
)
def test_only_what_is_whole_is_committed(last: ShardWritten, problem: str | None) -> None:
    before = handed_in(EMPTY, shard(1), shard(2))
    done = hand_in(before.commits, last, 3)
    if problem is None:
        assert done.reply == Committed(step=5)
    else:
        assert done == HandedIn(before.commits, Refusal(reason="invalid", message=f"step 5: {problem}"))


def test_a_commit_is_neither_replaced_nor_overtaken() -> None:
    done = handed_in(EMPTY, *(shard(rank) for rank in range(3)))
    for late in (shard(0, step=4), shard(0, generation=2)):
        assert hand_in(done.commits, late, 3) == HandedIn(
            done.commits,
            Refusal(
                reason="order",
                message=f"step {late.step} cannot be committed: step 5 is the newest commit of this attempt, and a "
                "commit is neither replaced nor overtaken; join again and go on from it",
            ),
        )


def test_a_commit_among_the_events_is_counted() -> None:
    assert replay_commit(EMPTY).made == 1


@settings(deadline=None, max_examples=60)
@given(
    ranks=st.integers(1, 5),
    sent=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3), st.integers(1, 3)), max_size=40),
)
def test_a_commit_holds_one_generation_whole_and_steps_only_rise(ranks: int, sent: list[tuple[int, int, int]]) -> None:
    """Ranks hand in any steps in any order; the fence lets only the newest generation through."""
    commits, published, generation = EMPTY, [], 1
    handed: dict[tuple[int, int], set[int]] = {}
    for rank, step, sender in sent:
        generation = max(generation, sender)
        if sender != generation or rank >= ranks:
            continue
        done = hand_in(commits, shard(rank, step, ranks=ranks, generation=sender), ranks)
        commits = done.commits
        if not isinstance(done.reply, Refusal):
            handed.setdefault((sender, step), set()).add(rank)
        if done.publish:
            published.append(done.publish)
            assert handed[sender, step] == set(range(ranks))
            assert {file.path.split(".")[-2] for file in done.publish.files} == {f"g{sender}"}
    assert all(a.step < b.step for a, b in itertools.pairwise(published))
