"""Real processes are killed, stopped and cut short; in the final weights every sample counts exactly once an epoch."""

import random
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from real_job import EPOCHS, RealJob, counts, go_on, kill, stop

from gmeta_worker.checkpoint import newest_valid, open_commit

Fault = Callable[[RealJob, random.Random], None]


def kill_a_rank(job: RealJob, draw: random.Random) -> None:
    kill(job.ranks(draw.randrange(job.workers)))


def kill_an_agent(job: RealJob, draw: random.Random) -> None:
    kill([job.agents[draw.randrange(job.workers)].pid])


def kill_the_coordinator(job: RealJob, draw: random.Random) -> None:
    assert job.coordinator is not None
    kill([job.coordinator.pid])


def kill_everything(job: RealJob, draw: random.Random) -> None:
    kill_the_coordinator(job, draw)
    kill([agent.pid for agent in job.agents.values()])


def kill_a_rank_while_it_commits(job: RealJob, draw: random.Random) -> None:
    """It leaves a half-written commit behind."""
    worker = draw.randrange(job.workers)
    job.run_until(lambda: _half_written(job), "a commit that is being written")
    kill(job.ranks(worker))


def a_rank_hangs(job: RealJob, draw: random.Random) -> None:
    stop(job.ranks(draw.randrange(job.workers)))


def a_worker_wakes_up_beside_its_successor(job: RealJob, draw: random.Random) -> None:
    """A node is lost and comes back: the old processes have another generation's place in their minds."""
    worker = draw.randrange(job.workers)
    old = [job.agents[worker].pid, *job.ranks(worker)]
    stop(old)
    commits = len(job.commits)
    job.replace(worker)
    job.run_until(lambda: len(job.commits) != commits, "a commit without it")
    go_on(old)


def an_old_attempt_wakes_up(job: RealJob, draw: random.Random) -> None:
    old = [pid for worker, agent in job.agents.items() for pid in (agent.pid, *job.ranks(worker))]
    stop(old)
    job.begin_attempt()
    job.run_until(lambda: len(job.commits) > 0, "a commit of the new attempt")
    go_on(old)


def the_disk_is_full(job: RealJob, draw: random.Random) -> None:
    """A rank can write no file of more than a few bytes."""
    for rank in job.ranks(draw.randrange(job.workers)):
        resource.prlimit(rank, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))


def the_volume_fails(job: RealJob, draw: random.Random) -> None:
    """The next commit's folder cannot be made, until somebody has repaired it."""
    step = int(job.commits[-1].name[1:]) if job.commits else 0
    obstacles = [job.run_folder / f"a{job.attempt}" / f"s{later}" for later in range(step + 12, step + 36, 6)]
    for path in obstacles:
        if not path.exists():
            path.write_text("not a folder")
    attempt = job.attempt
    job.run_until(lambda: job.attempt > attempt, "a new attempt")
    for path in obstacles:
        if path.is_file():
            path.unlink()


def the_newest_commit_is_damaged(job: RealJob, draw: random.Random) -> None:
    """And a rank dies, so that it is asked for."""
    path = draw.choice(sorted(job.commits[-1].iterdir()))
    data = bytearray(path.read_bytes())
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data if draw.random() < 0.5 else data[: len(data) // 2])
    kill_a_rank(job, draw)


def a_worker_is_asked_to_stop(job: RealJob, draw: random.Random) -> None:
    job.agents[draw.randrange(job.workers)].terminate()


FAULTS: Sequence[Fault] = (
    kill_a_rank,
    kill_an_agent,
    kill_the_coordinator,
    kill_everything,
    kill_a_rank_while_it_commits,
    a_rank_hangs,
    a_worker_wakes_up_beside_its_successor,
    an_old_attempt_wakes_up,
    the_disk_is_full,
    the_volume_fails,
    the_newest_commit_is_damaged,
    a_worker_is_asked_to_stop,
)
ALWAYS: Sequence[tuple[Fault, ...]] = (
    (kill_a_rank, kill_the_coordinator),
    (a_worker_wakes_up_beside_its_successor,),
    (an_old_attempt_wakes_up,),
    (the_disk_is_full,),
    (kill_a_rank_while_it_commits, the_newest_commit_is_damaged),
)


def _drawn(seed: int) -> tuple[Fault, ...]:
    """Two or three faults; every fault comes up in every dozen of seeds."""
    draw = random.Random(seed)
    return (FAULTS[seed % len(FAULTS)], *draw.choices(FAULTS, k=draw.randint(1, 2)))


IN_MAKE_TEST = 1
"""Of the histories; the others are in the long suite, for each takes the better part of a minute."""
HISTORIES = [
    *(
        pytest.param(number, faults, id=f"always-{number}", marks=[pytest.mark.slow] if number >= IN_MAKE_TEST else [])
        for number, faults in enumerate(ALWAYS)
    ),
    *(pytest.param(seed, _drawn(seed), id=f"drawn-{seed}", marks=pytest.mark.slow) for seed in range(5, 40)),
]


@pytest.fixture
def job(tmp_path: Path, seed: int) -> Iterator[RealJob]:
    job = RealJob(tmp_path, workers=2 + seed // 5 % 2)
    yield job
    job.end()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("seed", "faults"), HISTORIES)
def test_exactly_once(seed: int, faults: Sequence[Fault], job: RealJob) -> None:
    draw = random.Random(seed)
    for fault in faults:
        _wait_for_a_commit(job)
        fault(job, draw)
        time.sleep(draw.uniform(0.0, 1.0))
    job.finish()
    assert job.rounds > 1 or set(faults) == {kill_the_coordinator}, "the faults have changed nothing"
    commit, _ = newest_valid(job.run_folder)
    assert commit is not None
    assert commit.manifest.ledger.epoch == EPOCHS
    found = counts(commit)
    expected = np.full_like(found, EPOCHS)
    expected[0] = 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    for path in job.run_folder.glob("a*/s*/manifest.json"):
        manifest = open_commit(path.parent).manifest
        names = {file.path.split(".")[1] for file in manifest.files}
        assert names == {f"g{manifest.generation}"}, "a commit of one generation's files only"


def _wait_for_a_commit(job: RealJob) -> None:
    """One more than there is now."""
    before = job.commits
    job.run_until(lambda: job.commits not in (before, []), "a commit")


def _half_written(job: RealJob) -> bool:
    """Whether there is a folder with files and without a manifest; it may get one, or go, at any moment."""
    for folder in (job.run_folder / f"a{job.attempt}").glob("s*"):
        with suppress(OSError):
            if folder.is_dir() and any(folder.iterdir()) and not (folder / "manifest.json").exists():
                return True
    return False
