"""One history: a small job, faults at random moments, and what must hold whatever they were."""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from faults import chaos
from faults.clock import Process
from faults.coordinator import Coordinator
from faults.counting import Order, wrong_counts
from faults.ranks import Background, Meeting
from faults.workers import Worker
from faults.world import World
from gmeta_api.document import JobDocument
from gmeta_api.errors import GMetaError
from gmeta_api.spec import Spec
from gmeta_worker.checkpoint import CommitManifest, newest_valid, open_commit
from gmeta_worker.checkpoint.commit import publish
from gmeta_worker.checkpoint.folders import attempts
from gmeta_worker.coordination import job as job_module
from gmeta_worker.training import committer as committer_module

HORIZON_SECONDS = 4 * 3600.0
RESTART_SECONDS = 1.0
ATTEMPTS = 60


@dataclass(frozen=True)
class Outcome:
    """What came of a history."""

    seen: Counter[str]
    violations: list[str]


class History:
    """A job under faults, from its first attempt to its success."""

    def __init__(self, seed: int, folder: Path) -> None:
        world = self.world = World(seed, folder)
        random = world.random
        self.order = Order(seed, epochs=2, steps=random.randint(3, 6), tasks_per_step=random.randint(1, 6))
        self.meetings: dict[tuple[int, int], Meeting] = {}
        self.workers: dict[int, Worker] = {}
        self.finished = False
        self._settings = {
            "replicas": random.randint(1, 3),
            "processes": random.choice([1, 1, 2]),
            "every": random.randint(1, 4),
            "keep": random.randint(1, 3),
        }

    def run(self) -> Outcome:
        """Let it happen; what must not have happened is among the outcome's violations."""
        world = self.world
        with self._simulated():
            world.spawn(Process("supervisor"), self._supervise)
            world.spawn(Process("chaos"), lambda: chaos.disturb(self))
            while not self.finished and world.now < HORIZON_SECONDS:
                world.step()
            world.unwind()
            for coordinator in world.coordinators:
                coordinator.die()
        self._check_the_end()
        return Outcome(world.seen, world.violations)

    @property
    def coordinator(self) -> Coordinator:
        return self.world.coordinators[-1]

    @contextmanager
    def _simulated(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(self.world.disk())
            stack.enter_context(patch.object(job_module, "publish", self._publish))
            stack.enter_context(
                patch.object(committer_module, "_in_background", lambda work: Background(self.world, work))
            )
            yield

    def _supervise(self) -> None:
        """What `gmeta run` or the operator does: one coordinator, one process a worker, a new attempt at need."""
        world = self.world
        world.coordinators.append(Coordinator(world, self._document()))
        while not self.finished:
            self._keep_coordinator()
            self._keep_workers()
            if self.coordinator.running and (ended := self.coordinator.job.state.finished):
                self.finished = ended.outcome == "succeeded"
                if not self.finished:
                    self.begin_attempt()
            world.pause(RESTART_SECONDS)

    def _keep_coordinator(self) -> None:
        if not self.coordinator.running:
            try:
                self.coordinator.start()
            except GMetaError as error:
                self.world.saw(f"coordinator refused to start: {type(error).__name__}")

    def _keep_workers(self) -> None:
        spec = self.spec
        for index in range(spec.workers.replicas):
            if index not in self.workers or self.workers[index].agent.gone:
                worker = Worker(self.world, self.order, spec, self.world.attempt, index, self.meetings)
                self.workers[index] = worker
                worker.start()

    def begin_attempt(self) -> None:
        """Start everything anew; what is left of the old attempt may live on for a while, unless it holds the lock."""
        world = self.world
        world.saw("new attempt")
        assert world.attempt < ATTEMPTS, "attempt after attempt fails"
        survival = world.random.choice([0.0, 0.5, 1.0])
        for worker in self.workers.values():
            if world.chance(survival):
                world.saw("zombies of an old attempt")
            else:
                worker.kill()
        if world.locks or not world.chance(survival):
            self.coordinator.die()
        else:
            world.saw("zombie coordinator")
        self.workers = {}
        world.attempt += 1
        world.coordinators.append(Coordinator(world, self._document()))

    def _document(self) -> JobDocument:
        settings = self._settings
        return JobDocument.model_validate(
            {
                "job": {"name": "counting", "namespace": "default"},
                "attempt": self.world.attempt,
                "spec": {
                    "volumes": [{"name": "data", "emptyDir": {}}],
                    "data": {"volume": "data", "path": "none"},
                    "checkpoint": {
                        "volume": "data",
                        "path": "run",
                        "everySteps": settings["every"],
                        "keep": settings["keep"],
                    },
                    "training": {"epochs": self.order.epochs, "tasksPerStep": self.order.tasks_per_step},
                    "workers": {"replicas": settings["replicas"], "processesPerWorker": settings["processes"]},
                    "faultTolerance": {"heartbeatSeconds": 10},
                },
            }
        )

    @property
    def spec(self) -> Spec:
        return self._document().spec

    def _publish(self, run_folder: Path, manifest: CommitManifest) -> None:
        """The real one, and a look at what was committed, and by whom."""
        publish(run_folder, manifest)
        world = self.world
        world.saw("commit")
        state = world.handling.job.state if world.handling else None
        if state is None or (manifest.attempt, manifest.generation) != (state.attempt, state.generation):
            world.violations.append(
                f"{manifest.folder} was committed by generation {manifest.generation}, a fenced one"
            )
        if manifest.attempt != max(attempts(run_folder)):
            world.violations.append(f"{manifest.folder} was committed by an old attempt: {attempts(run_folder)}")
        if {file.path.split(".")[1] for file in manifest.files} != {f"g{manifest.generation}"}:
            world.violations.append(f"{manifest.folder} has files of another generation")
        if wrong := wrong_counts(self.order, open_commit(run_folder / manifest.folder)):
            world.violations.append(wrong)

    def _check_the_end(self) -> None:
        world = self.world
        if not self.finished:
            world.violations.append(f"not finished after {HORIZON_SECONDS:.0f} s of the simulated clock")
            return
        commit, _ = newest_valid(world.folder)
        last = self.order.epochs * self.order.steps
        if commit is None or commit.manifest.step != last:
            if not any(folder.name == f"s{last}" for folder in world.damaged):
                world.violations.append(f"finished at {commit and commit.manifest.ledger}")
        elif wrong := wrong_counts(self.order, commit):
            world.violations.append(wrong)


def run_history(seed: int, folder: Path) -> Outcome:
    """Run the history of a seed in an empty folder, and leave nothing behind."""
    run_folder = folder / f"history-{seed}"
    run_folder.mkdir()
    try:
        return History(seed, run_folder).run()
    finally:
        shutil.rmtree(run_folder)
