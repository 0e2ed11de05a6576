"""A small job on generated data, run through the real command in real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from job_events import events_of

MANIFEST: dict[str, Any] = {
    "apiVersion": "gmeta.dev/v1alpha1",
    "kind": "MetaTrainingJob",
    "metadata": {"name": "small"},
    "spec": {
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "runs", "emptyDir": {}}],
        "data": {
            "volume": "data",
            "path": "dataset",
            "support": {"policy": "uniform", "min": 1, "max": 8},
            "prepare": {
                "source": "ratings.csv",
                "task": ["user_id"],
                "labels": [{"name": "click", "rule": "rating >= 4"}],
                "features": [
                    {"name": "movie", "type": "categorical", "columns": ["movie_id"]},
                    {"name": "age", "type": "numeric", "columns": ["age"]},
                ],
                "supportOrder": {"by": "seed"},
                "split": {"by": "task", "train": 0.6, "valid": 0.2, "test": 0.2},
            },
        },
        "model": {"embeddingDim": 4, "bottom": [4], "top": [8]},
        "meta": {"algorithm": "MAML", "inner": {"steps": 1, "rate": 0.1}},
        "training": {"epochs": 2, "tasksPerStep": 4, "evaluation": {"everyEpochs": 1, "shots": [1, 4]}},
        "checkpoint": {"volume": "runs", "path": "run", "everySteps": 5},
    },
}


def write_ratings(path: Path, users: int = 60, seed: int = 0) -> None:
    """Ratings with a bias of each user and each movie."""
    draw = np.random.default_rng(seed)
    user_bias, movie_bias = draw.normal(0, 1, users), draw.normal(0, 1, 30)
    lines = ["user_id,movie_id,rating,age"]
    for user in range(users):
        for movie in draw.choice(30, size=draw.integers(4, 20), replace=False):
            rating = int(np.clip(round(3.3 + user_bias[user] + movie_bias[movie]), 1, 5))
            lines.append(f"{user},{movie},{rating},{20 + user % 40}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


@dataclass
class LocalJob:
    """A folder with volumes and a manifest, and the command to run it."""

    folder: Path
    settings: list[str] = field(default_factory=list)
    started: "list[subprocess.Popen[str]]" = field(default_factory=list)

    def __post_init__(self) -> None:
        write_ratings(self.folder / "data" / "ratings.csv")
        self.manifest.write_text(yaml.safe_dump(MANIFEST))

    @property
    def manifest(self) -> Path:
        return self.folder / "job.yaml"

    @property
    def run_folder(self) -> Path:
        return self.folder / "runs" / "run"

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.run_folder / "report.json").read_text())
        return report

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The coordinator's events of a kind, so far."""
        return events_of(self.run_folder, kind)

    def start(self, *arguments: str, settings: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        """`gmeta run` in the background."""
        command = [*gmeta(), "run", str(self.manifest)]
        for name in ("data", "runs"):
            command += ["--volume", f"{name}={self.folder / name}"]
        for setting in (*self.settings, *settings):
            command += ["--set", setting]
        process = subprocess.Popen(
            [*command, *arguments], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.started.append(process)
        return process

    def stop(self) -> None:
        """End whatever a failed test has left running."""
        for process in self.started:
            if process.poll() is None:
                process.terminate()
            process.communicate()

    def run(self, *arguments: str, settings: tuple[str, ...] = ()) -> tuple[int, str]:
        """`gmeta run` to its end: exit code and output."""
        process = self.start(*arguments, settings=settings)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output


def gmeta() -> list[str]:
    """The command, as this environment has it."""
    return [sys.executable, "-c", "from gmeta_worker.cli.main import main; main()"]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def call(*arguments: str | Path, seconds: float = 120) -> tuple[int, str]:
    """A `gmeta` command to its end: exit code and output."""
    command = [*gmeta(), *map(str, arguments)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=seconds)
    return done.returncode, done.stdout + done.stderr


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait for `condition`, or fail with `what`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class ProcessTree:
    """The processes of a running job.

    Attributes:
        coordinator: its process id.
        agents: by worker.
        ranks: by worker, those that its agent keeps, in the order of their start.
    """

    coordinator: int
    agents: dict[int, int]
    ranks: dict[int, list[int]]


def process_tree(command: int) -> ProcessTree:
    """What a `gmeta run` has started that is alive."""
    coordinator, agents = 0, {}
    for pid in children(command):
        arguments = command_line(pid)
        if "coordinator" in arguments:
            coordinator = pid
        elif "worker" in arguments:
            agents[int(variables(pid)["GMETA_WORKER_INDEX"])] = pid
    return ProcessTree(coordinator, agents, {worker: ranks_of(agent) for worker, agent in agents.items()})


def ranks_of(agent: int) -> list[int]:
    """The ranks of an agent: they are forked from its fork server."""
    servers = [pid for pid in children(agent) if "forkserver" in " ".join(command_line(pid))]
    return sorted(rank for server in servers for rank in children(server))


def children(parent: int) -> list[int]:
    """The living children of a process."""
    try:
        listed = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    except OSError:
        return []
    return [int(pid) for pid in listed if alive(int(pid))]


def alive(pid: int) -> bool:
    """Whether a process runs, or is stopped by a signal; not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False


def command_line(pid: int) -> list[str]:
    """The arguments of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def variables(pid: int) -> dict[str, str]:
    """The environment that a process was started with."""
    lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
