"""A counting job in real processes, kept running as an operator would: with this a test may kill, stop and damage."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from job_events import events_of
from local_job import ranks_of

from gmeta_api.load import parse_job, validate
from gmeta_api.plan import Plan, Process, Site, make_plan
from gmeta_api.spec import PrepareSpec
from gmeta_worker.checkpoint import Commit, load_commit
from gmeta_worker.checkpoint.object_path import Folder, ObjectPath
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.status import Status
from gmeta_worker.embedding import BLOCKS, BlockLayout
from gmeta_worker.embedding.initial import initial_rows
from gmeta_worker.local.children import command_line, environment
from gmeta_worker.local.site import free_ports
from gmeta_worker.metaio.prepare import run as prepare

USERS, ROWS, TASKS_PER_STEP, STEPS, SEED = 60, 4, 4, 9, 5
"""Six tenths of the users are for training: 9 steps of 4 tasks of 4 rows, 16 rows a step."""
ROWS_A_STEP = ROWS * TASKS_PER_STEP
EPOCHS = 14
SUPPORT = Path(__file__).parent

PREPARE: Mapping[str, Any] = {
    "source": "ratings.csv",
    "task": ["user_id"],
    "labels": [{"name": "click", "rule": "rating >= 4"}],
    "features": [
        {"name": "sample", "type": "categorical", "columns": ["sample_id"]},
        {"name": "age", "type": "numeric", "columns": ["age"]},
    ],
    "supportOrder": {"by": "seed"},
    "split": {"by": "task", "train": 0.6, "valid": 0.2, "test": 0.2},
}


def write_samples(folder: Path) -> None:
    """A dataset in which every row has a key of its own."""
    lines = ["user_id,sample_id,rating,age"]
    lines += [
        f"{user},{user * ROWS + row},{1 + (user + row) % 5},{20 + user}" for user in range(USERS) for row in range(ROWS)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ratings.csv").write_text("\n".join(lines) + "\n")
    prepare(validate(PrepareSpec, dict(PREPARE)), folder, folder / "dataset")


@dataclass(frozen=True)
class Store:
    """An object store for the run folder."""

    uri: str
    endpoint: str


def manifest(workers: int, pause: float, store: Store | None) -> dict[str, Any]:
    """A job whose final rows say how often each sample was trained on."""
    runs = {"emptyDir": {}} if store is None else {"objectStore": {"uri": store.uri, "endpoint": store.endpoint}}
    return {
        "apiVersion": "gmeta.dev/v1alpha1",
        "kind": "MetaTrainingJob",
        "metadata": {"name": "counting"},
        "spec": {
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": "runs", **runs}],
            "data": {"volume": "data", "path": "dataset"},
            "model": {"type": "counting_model:Counting", "args": {"pause": pause}, "embeddingDim": 2},
            "meta": {"algorithm": "Joint"},
            "optimizer": {"sparse": {"type": "SGD", "rate": 1.0}, "dense": {"type": "SGD", "rate": 0.1}},
            "training": {
                "epochs": EPOCHS,
                "tasksPerStep": TASKS_PER_STEP,
                "seed": SEED,
                "evaluation": {"everyEpochs": EPOCHS, "shots": [1]},
            },
            "checkpoint": {"volume": "runs", "path": "run", "everySteps": 6, "keep": 2},
            "workers": {"replicas": workers, "minReplicas": 1},
            "faultTolerance": {"heartbeatSeconds": 6, "backoffLimit": 50},
        },
    }


@dataclass(eq=False)
class RealJob:
    """The processes of a job, by role; the operator's part is `keep`."""

    folder: Path
    workers: int
    pause: float = 0.08
    store: Store | None = None
    attempt: int = 0
    coordinator: "subprocess.Popen[bytes] | None" = None
    agents: "dict[int, subprocess.Popen[bytes]]" = field(default_factory=dict)
    former: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def __post_init__(self) -> None:
        write_samples(self.folder / "data")
        self._port = free_ports(1)
        self._client = CoordinatorClient(f"http://127.0.0.1:{self._port}", patience=0.0)

    @property
    def run_folder(self) -> Path:
        return self.folder / "runs" / "run"

    @property
    def run(self) -> Folder:
        """The run folder, wherever it is."""
        if self.store is None:
            return self.run_folder
        return ObjectPath.open(self.store.uri, {"endpoint": self.store.endpoint}) / "run"

    @property
    def commits(self) -> list[Path]:
        """The folders of the current attempt that hold a manifest, oldest first; those on a disk."""
        found = (self.run_folder / f"a{self.attempt}").glob("s*/manifest.json")
        return sorted((path.parent for path in found), key=lambda path: int(path.name[1:]))

    @property
    def rounds(self) -> int:
        """Rounds that were formed, in all attempts."""
        return len(events_of(self.run, "formed"))

    @property
    def status(self) -> Status | None:
        return self._client.try_status()

    def keep(self) -> bool:
        """Start what is missing, and a new attempt where one has failed; whether the job has succeeded."""
        ended = self._how_it_ended()
        if ended == "succeeded":
            return True
        if ended is not None:
            self.begin_attempt()
        if self.coordinator is None or self.coordinator.poll() is not None:
            self.coordinator = self._start(self._plan.coordinator)
        for process in self._plan.workers:
            if process.index not in self.agents or self.agents[process.index].poll() is not None:
                self.replace(process.index)
        return False

    def replace(self, worker: int) -> None:
        """Start a worker's process; the one before it may live on."""
        if worker in self.agents:
            self.former.append(self.agents[worker])
        self.agents[worker] = self._start(self._plan.workers[worker])

    def begin_attempt(self) -> None:
        """A new attempt; workers of the old one are not ended, but their coordinator is."""
        if self.coordinator is not None:
            self.coordinator.kill()
            self.coordinator.wait()
        self.former += self.agents.values()
        self.coordinator, self.agents = None, {}
        self.attempt += 1

    def ranks(self, worker: int) -> list[int]:
        """The process ids of a worker's ranks."""
        return ranks_of(self.agents[worker].pid)

    def run_until(self, condition: Callable[[], bool], what: str, seconds: float = 240.0) -> None:
        """Keep the job until `condition` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}; logs are in {self.folder}/logs"
            if self.keep():
                assert condition(), f"the job has ended before {what}"
                return
            time.sleep(0.1)

    def finish(self) -> None:
        """Keep the job to its success."""
        self.run_until(lambda: self._how_it_ended() == "succeeded", "success", 400.0)

    def end(self) -> None:
        """Leave nothing running."""
        for process in (*self.agents.values(), *self.former, *([self.coordinator] if self.coordinator else [])):
            for rank in ranks_of(process.pid):
                _signal(rank, signal.SIGKILL)
            process.kill()
            process.wait()
        self._client.close()

    def _how_it_ended(self) -> str | None:
        status = self.status
        if status is not None and status.attempt == self.attempt and status.finished is not None:
            return status.finished.outcome
        return self._reported()

    def _reported(self) -> str | None:
        """The end of the current attempt as its events tell it: its coordinator may be gone already."""
        ends = [each for each in events_of(self.run, "finish") if each["attempt"] == self.attempt]
        return ends[-1]["outcome"] if ends else None

    @property
    def _plan(self) -> Plan:
        site = Site(
            volumes={
                "data": str(self.folder / "data"),
                "runs": self.store.uri if self.store else str(self.folder / "runs"),
            },
            job_path=str(self.folder / f"job-{self.attempt}.json"),
            coordinator_host="127.0.0.1",
            coordinator_port=self._port,
            metrics_port=0,
            worker_host="127.0.0.1",
        )
        plan = make_plan(parse_job(manifest(self.workers, self.pause, self.store)), site, self.attempt)
        path = Path(site.job_path)
        if not path.exists():
            path.write_text(plan.document.to_json())
        return plan

    def _start(self, process: Process) -> "subprocess.Popen[bytes]":
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        paths = os.pathsep.join([str(SUPPORT), *filter(None, [os.environ.get("PYTHONPATH")])])
        with (logs / f"{process.role}-{process.index}.log").open("ab") as log:
            return subprocess.Popen(
                command_line(process),
                env={**environment(process), "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def counts(commit: Commit) -> np.ndarray:
    """How often the row of each key was trained on, row 0 of unknown keys first."""
    manifest_layout = commit.manifest.layout
    layout = BlockLayout({name: table.rows for name, table in manifest_layout.tables.items()})
    ids = range(BLOCKS * layout.pages)
    weights = np.concatenate([tensors["weights"].numpy() for _, _, tensors in load_commit(commit).row_groups()])
    start = initial_rows(layout, ids, manifest_layout.dim, SEED, torch.float32).numpy()
    places = layout.ids("sample", np.arange(layout.rows))
    return np.asarray((weights - start)[places] * ROWS_A_STEP)


def stop(pids: list[int]) -> None:
    for pid in pids:
        _signal(pid, signal.SIGSTOP)


def go_on(pids: list[int]) -> None:
    for pid in pids:
        _signal(pid, signal.SIGCONT)


def kill(pids: list[int]) -> None:
    for pid in pids:
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
