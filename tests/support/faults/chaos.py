"""Faults at random moments of a history's beginning; then it is left in peace, and has to come to its end."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from faults.clock import Process
from faults.workers import Worker
from gmeta_worker.checkpoint import list_commits

if TYPE_CHECKING:
    from faults.history import History

MOST_FAULTS = 10


def disturb(history: "History") -> None:
    """Let up to ten faults happen, some of them at once."""
    world = history.world
    for _ in range(world.random.randint(0, MOST_FAULTS)):
        world.pause(world.random.choice([0.0, 0.5, 3.0, 15.0]) * world.random.random())
        fault = world.random.choice(FAULTS)
        if not history.finished and fault(history):
            world.saw(fault.__name__.replace("_", " "))
    world.loss = 0.0


def kill_a_rank(history: "History") -> bool:
    process = _any_rank(history)
    if process is not None:
        process.kill()
    return process is not None


def kill_a_rank_while_it_writes(history: "History") -> bool:
    process = _any_rank(history)
    if process is not None:
        process.dies_at_disk_point = history.world.random.randint(0, 8)
    return process is not None


def kill_a_worker(history: "History") -> bool:
    worker = _any_worker(history)
    if worker is not None:
        worker.kill()
    return worker is not None


def ask_a_worker_to_stop(history: "History") -> bool:
    worker = _any_worker(history)
    if worker is not None:
        worker.agent.asked_to_stop = True
    return worker is not None


def freeze_a_rank(history: "History") -> bool:
    process = _any_rank(history)
    if process is not None:
        process.frozen_until = history.world.now + history.world.random.uniform(1.0, 100.0)
    return process is not None


def freeze_a_worker_and_start_another(history: "History") -> bool:
    """A node that is lost and comes back: the old processes wake up beside their successors."""
    worker = _any_worker(history)
    if worker is None:
        return False
    worker.freeze(history.world.now + history.world.random.uniform(1.0, 100.0))
    del history.workers[worker.index]
    return True


def cut_off_a_worker(history: "History") -> bool:
    """Its processes reach the other ranks, but not the coordinator."""
    worker, world = _any_worker(history), history.world
    if worker is None:
        return False
    cut = set(worker.processes)
    world.cut_off |= cut
    world.spawn(Process("network"), lambda: _later(history, lambda: world.cut_off.difference_update(cut)))
    return True


def kill_the_coordinator(history: "History") -> bool:
    if not history.coordinator.running:
        return False
    history.coordinator.die()
    return True


def kill_the_coordinator_while_it_writes(history: "History") -> bool:
    history.coordinator.dies_at_disk_point = history.world.random.randint(0, 6)
    return True


def fill_the_disk(history: "History") -> bool:
    history.world.full_until = history.world.now + history.world.random.uniform(0.5, 10.0)
    return True


def damage_the_newest_commit(history: "History") -> bool:
    """A file loses bytes, or has others."""
    world, commits = history.world, list_commits(history.world.folder)
    if not commits:
        return False
    folder = Path(str(commits[0].path))
    path = world.random.choice(sorted(folder.iterdir()))
    world.damaged.add(folder)
    data = bytearray(path.read_bytes())
    if world.chance(0.5):
        data = data[: world.random.randint(0, len(data) - 1)]
    else:
        data[world.random.randrange(len(data))] ^= 1 << world.random.randrange(8)
    path.write_bytes(data)
    return True


def hide_the_newest_commit(history: "History") -> bool:
    """A volume that fails for a while: a file is not there, and then it is."""
    world, commits = history.world, list_commits(history.world.folder)
    if not commits:
        return False
    folder = Path(str(commits[0].path))
    path = world.random.choice(sorted(folder.iterdir()))
    world.damaged.add(folder)
    hidden = path.with_name(path.name + ".hidden")
    path.rename(hidden)

    def show() -> None:
        if hidden.exists():
            hidden.replace(path)

    world.spawn(Process("disk"), lambda: _later(history, show))
    return True


def end_the_attempt(history: "History") -> bool:
    """As an operator does that has lost its patience: a new attempt, and what is left of the old one lives on."""
    if not history.coordinator.running or history.coordinator.job.state.finished:
        return False
    history.begin_attempt()
    return True


FAULTS: tuple[Callable[["History"], bool], ...] = (
    kill_a_rank,
    kill_a_rank_while_it_writes,
    kill_a_worker,
    ask_a_worker_to_stop,
    freeze_a_rank,
    freeze_a_worker_and_start_another,
    cut_off_a_worker,
    kill_the_coordinator,
    kill_the_coordinator_while_it_writes,
    fill_the_disk,
    damage_the_newest_commit,
    hide_the_newest_commit,
    end_the_attempt,
)


def _later(history: "History", act: Callable[[], None]) -> None:
    history.world.pause(history.world.random.uniform(1.0, 40.0))
    act()


def _any_worker(history: "History") -> Worker | None:
    alive = [worker for _, worker in sorted(history.workers.items()) if not worker.agent.gone]
    return history.world.random.choice(alive) if alive else None


def _any_rank(history: "History") -> Process | None:
    worker = _any_worker(history)
    alive = [process for process in worker.ranks.values() if not process.gone] if worker else []
    return history.world.random.choice(alive) if alive else None
