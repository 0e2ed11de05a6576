"""Every sample counts exactly once an epoch in the final weights, whatever dies, freezes, is lost or is damaged.

The histories with real processes are in test_fault_processes.py.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faults.chaos import FAULTS
from faults.history import run_history

from gmeta_worker.checkpoint import commit
from gmeta_worker.coordination import commits, state
from gmeta_worker.coordination.messages import ShardWritten
from gmeta_worker.embedding import Snapshot
from gmeta_worker.training import committer

FEW, ALL = range(60), range(2000)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of warnings about skipped commits would say nothing."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


COMMON = {
    "commit",
    "coordinator killed while it wrote",
    "disk full",
    "late message",
    "lost reply",
    "repeated message",
    "refused: fenced",
    "stopped in order",
    "zombies of an old attempt",
    *(fault.__name__.replace("_", " ") for fault in FAULTS),
}
"""Every fault, and what faults lead to in any 60 histories."""
RARE = {
    "rank ended: FencedError",
    "rank ended: PeerLostError",
    "rank killed while it wrote",
    "zombie coordinator",
}
"""What needs an unlucky moment: in 60 histories once or not at all."""


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        (FEW, COMMON),
        pytest.param(ALL, COMMON | RARE, marks=[pytest.mark.slow, pytest.mark.timeout(7200)]),
    ],
    ids=["a few", "2000"],
)
def test_exactly_once(seeds: range, expected: set[str], tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for seed in seeds:
        outcome = run_history(seed, tmp_path)
        assert outcome.violations == [], f"history {seed}"
        seen += outcome.seen
    assert expected - set(seen) == set(), "what never happens proves nothing"


def no_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The coordinator takes messages of any generation."""
    monkeypatch.setattr(state, "_fence", lambda *_: None)


def no_copy_on_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit sees rows change while it is written."""
    monkeypatch.setattr(Snapshot, "save", lambda *_: None)


def no_fence_of_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old coordinator goes on committing."""
    monkeypatch.setattr(commit, "require_current", lambda *_: None)


def a_ledger_of_another_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The committer says that one sample more was trained on."""
    real: Callable[..., Any] = ShardWritten

    def shard(**fields: Any) -> Any:
        ledger = fields["ledger"]
        return real(**fields | {"ledger": ledger.model_copy(update={"samples": ledger.samples + 1})})

    monkeypatch.setattr(committer, "ShardWritten", shard)


def commits_of_some_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit is made though a rank's rows are those of another generation."""
    real = commits.hand_in

    def hand_in(before: Any, shard: Any, world_size: int) -> Any:
        others = tuple(
            each.model_copy(update={"generation": shard.generation, "step": shard.step, "ledger": shard.ledger})
            for each in before.shards
        )
        return real(replace(before, shards=others), shard, world_size)

    monkeypatch.setattr(state, "hand_in", hand_in)


@pytest.mark.slow
@pytest.mark.parametrize(
    "mutant",
    [no_fence, no_copy_on_write, no_fence_of_attempts, a_ledger_of_another_step, commits_of_some_ranks],
)
def test_the_histories_notice_what_is_broken(
    mutant: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    assert any(_fails(seed, tmp_path) for seed in range(200)), "200 histories saw nothing wrong"


def _fails(seed: int, folder: Path) -> bool:
    try:
        return bool(run_history(seed, folder).violations)
    except Exception:  # noqa: BLE001 - broken code may end anyhow
        return True
