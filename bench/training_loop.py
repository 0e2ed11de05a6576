"""What the training loop costs outside of its steps: reading, reports and metrics, as a share of the run.

FOMAML on the DLRM of the other benchmarks, about 1,000 rows a step, from a dataset on disk, one rank of one thread,
with the product's loop, reader, reporter and client; messages are answered at once. The share is taken of the training
thread's own CPU time, which other work on the machine does not change, and of wall time, which also has what the
thread waits for the reader. Commits and evaluations are no part of it; `commit_stall` measures them.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar, cast

import httpx
import torch

from bench.dlrm_job import job
from bench.goals import Goal
from bench.metaio import make_dataset
from bench.result import publish
from gmeta_api.spec import Spec
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.messages import Accepted
from gmeta_worker.metaio import Dataset
from gmeta_worker.metrics import WorkerMetrics
from gmeta_worker.parallel import ALONE
from gmeta_worker.training.commits import start_position
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.evaluator import Score
from gmeta_worker.training.loop import LoopActions, TrainingLoop
from gmeta_worker.training.part import OwnPart
from gmeta_worker.training.phase_plan import plan_phases
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.reporting import Reporter, Sender
from gmeta_worker.training.run import build_parts, dataset_keys, open_reader
from gmeta_worker.training.step import TrainingStep

WARMUP, TASKS_PER_STEP = 10, 10
GOALS = {"outside of steps / run, CPU": Goal(0.05, 0.02, at_most=True)}
CLOCKS: dict[str, Callable[[], float]] = {"CPU": time.thread_time, "wall": time.perf_counter}
Result = TypeVar("Result")


@dataclass(frozen=True)
class Watch:
    """Seconds by part of the run, on every clock."""

    seconds: dict[str, defaultdict[str, float]] = field(
        default_factory=lambda: {clock: defaultdict(float) for clock in CLOCKS}
    )

    def timed(self, part: str, run: Callable[..., Result]) -> Callable[..., Result]:
        """`run`, whose time counts as `part`."""

        def watched(*arguments: object) -> Result:
            before = {clock: now() for clock, now in CLOCKS.items()}
            result = run(*arguments)
            for clock, now in CLOCKS.items():
                self.seconds[clock][part] += now() - before[clock]
            return result

        return watched

    def shares(self, clock: str) -> dict[str, float]:
        """Of the run without evaluation: reports and metrics, and all that is no step."""
        spent = self.seconds[clock]
        total = spent["run"] - spent["evaluation"]
        return {"reports and metrics": spent["report"] / total, "outside of steps": 1 - spent["step"] / total}


def make_loop(dataset: Dataset, watch: Watch, steps: int) -> Callable[[], object]:
    """Training of `steps` steps after WARMUP unwatched ones."""
    spec = job("FOMAML", 16, 100_000)
    parts = build_parts(spec, dataset, dataset_keys(dataset), ALONE)
    optimizer = DenseOptimizer(spec.optimizer.dense, parts.model)

    def run(steps: int, watch: Watch) -> object:
        limited = _limited(spec, steps)
        reader = open_reader(limited, dataset)
        phases, clock = plan_phases(limited, reader.steps()), PhaseClock()
        step = TrainingStep(parts, optimizer, spec.optimizer, phases, OwnPart.even(ALONE), lambda: False, clock)
        metrics = WorkerMetrics(job_name="bench", namespace="bench", rank=0)
        reporter = Reporter(_client(), Sender(0, 1, 0), metrics, clock, reader, phases.total)
        actions = LoopActions(
            watch.timed("step", step),
            watch.timed("report", reporter.step),
            watch.timed("evaluation", lambda _: cast("Score", SimpleNamespace(auc=0.5))),
            lambda *_: None,
        )
        loop = TrainingLoop(limited.training, 1_000_000, phases, reader, actions, clock)
        return watch.timed("run", loop.run)(start_position())

    run(WARMUP, Watch())
    return partial(run, steps, watch)


def _limited(spec: Spec, steps: int) -> Spec:
    training = spec.training.model_copy(update={"tasks_per_step": TASKS_PER_STEP, "steps": steps, "epochs": None})
    return spec.model_copy(update={"training": training})


def _client() -> CoordinatorClient:
    answer = httpx.MockTransport(lambda _: httpx.Response(200, json=Accepted().model_dump()))
    return CoordinatorClient("http://coordinator", transport=answer)


def main(argv: list[str]) -> int:
    """Print the shares, and fail where steps have less than 95 % of the training thread's time."""
    parser = argparse.ArgumentParser(prog="python -m bench training_loop", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="of the dataset")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        make_loop(Dataset.open(make_dataset(Path(folder), arguments.rows)), watch, arguments.steps)()
    ratios = {f"{part} / run, {clock}": s for clock in CLOCKS for part, s in watch.shares(clock).items()}
    for name, share in ratios.items():
        print(f"{name}: {share:.2%}")
    figures = {
        clock: {f"{part}, ms a step": 1e3 * s / arguments.steps for part, s in watch.seconds[clock].items()}
        for clock in CLOCKS
    }
    print(f"a step: {figures['CPU']['step, ms a step']:.1f} ms of CPU, {figures['wall']['step, ms a step']:.1f} ms")
    return publish(arguments.out, ratios, figures, GOALS)
