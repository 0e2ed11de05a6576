"""Adapted and un-adapted AUC of MAML, FOMAML and Joint on MovieLens-100K and P1, by seed.

Every choice (early stop, best weights) is made on the valid users; the test users are scored once a run. MovieLens-100K
is the quickstart's dataset and manifest; P1 is the small user-cold split of MovieLens-1M (bench/p1.py), where a task
adapts on all of its support rows.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bench.p1 import write_sources
from bench.result import write_result
from gmeta_api.load import load_manifest
from gmeta_api.spec import Spec
from gmeta_worker.checkpoint import Ledger
from gmeta_worker.datasets import movielens
from gmeta_worker.metaio import Dataset
from gmeta_worker.metaio.prepare import run as prepare
from gmeta_worker.parallel import ALONE
from gmeta_worker.training.commits import start_position
from gmeta_worker.training.components import Components
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.evaluator import Evaluator, Score, headline
from gmeta_worker.training.loop import LoopActions, Position, TrainingLoop
from gmeta_worker.training.part import OwnPart
from gmeta_worker.training.phase_plan import plan_phases
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.run import build_parts, dataset_keys, open_reader
from gmeta_worker.training.step import TrainingStep

MANIFEST = Path(__file__).parents[1] / "examples/movielens-maml.yaml"
ALGORITHMS = ("MAML", "FOMAML", "Joint")
ALL_SUPPORT_ROWS = 100
"""Above P1's largest support set, so that a task keeps what it has."""


@dataclass(frozen=True)
class Case:
    """A dataset and the settings that differ from the quickstart's manifest."""

    name: str
    dataset: Dataset
    settings: tuple[str, ...]

    def spec(self, algorithm: str, seed: int) -> Spec:
        """The job's spec for an algorithm and a seed."""
        own = (f"spec.meta.algorithm={algorithm}", f"spec.training.seed={seed}")
        return load_manifest(MANIFEST, (*self.settings, *own)).spec


class BestWeights:
    """Keeps in memory the weights of the best evaluation, as a commit would on disk."""

    def __init__(self, parts: Components) -> None:
        self._parts = parts
        self.keep()

    def keep(self) -> None:
        """Remember the current weights."""
        self._model = {name: value.clone() for name, value in self._parts.model.state_dict().items()}
        blocks = self._parts.store.blocks()
        self._rows = self._parts.store.export_blocks(blocks.start, blocks.stop)

    def restore(self) -> None:
        """Put the remembered weights back."""
        self._parts.model.load_state_dict(self._model)
        blocks = self._parts.store.blocks()
        self._parts.store.import_blocks(blocks.start, blocks.stop, self._rows)


def train_and_score(spec: Spec, dataset: Dataset) -> list[Score]:
    """Train as a worker does, without processes or files; scores of the final split with the best weights."""
    training = spec.training
    parts = build_parts(spec, dataset, dataset_keys(dataset))
    evaluator, best, clock = Evaluator(parts), BestWeights(parts), PhaseClock()
    reader = open_reader(spec, dataset)
    dense = DenseOptimizer(spec.optimizer.dense, parts.model)
    phases = plan_phases(spec, reader.steps())
    step = TrainingStep(parts, dense, spec.optimizer, phases, OwnPart.even(ALONE), lambda: False, clock)

    def evaluate(ledger: Ledger) -> Score:  # noqa: ARG001 - the loop's signature
        scores = evaluator(dataset.split(training.evaluation.split), training.evaluation.shots).whole
        return headline(scores, adapted=parts.delivered != "Joint")

    def commit(position: Position, value: float | None) -> None:  # noqa: ARG001
        if value is not None:
            best.keep()

    actions = LoopActions(step, lambda *_: None, evaluate, commit)
    TrainingLoop(training, spec.checkpoint.every_steps, phases, reader, actions, clock).run(start_position())
    best.restore()
    asked = training.evaluation
    return list(evaluator(dataset.split(asked.final_split), asked.final_shots or asked.shots).whole)


def cases(data: Path | None, folder: Path, epochs: int | None) -> Iterator[Case]:
    """MovieLens-100K, and P1 where the folder of real data sets is given."""
    shorter = () if epochs is None else (f"spec.training.epochs={epochs}",)
    spec = load_manifest(MANIFEST).spec
    assert spec.data.prepare is not None
    movielens.fetch(folder / "ml-100k-raw", print)
    prepare(spec.data.prepare, folder, folder / "ml-100k")
    yield Case("ml-100k", Dataset.open(folder / "ml-100k"), shorter)
    if data is not None:
        prepare(write_sources(data, folder / "p1-raw"), folder / "p1-raw", folder / "p1")
        shots = f"spec.training.evaluation.shots=[{ALL_SUPPORT_ROWS}]"
        yield Case("p1", Dataset.open(folder / "p1"), (*shorter, shots))


def by_seed(case: Case, algorithm: str, seeds: int) -> list[list[Score]]:
    """Scores of the final split, a list for each seed."""
    return [train_and_score(case.spec(algorithm, seed), case.dataset) for seed in range(seeds)]


def mean_auc(scores: Sequence[Score], *, adapted: bool) -> float:
    """AUC of one mode, the mean over shots."""
    return headline(scores, adapted=adapted).auc


def table(case: str, results: Mapping[str, Sequence[Sequence[Score]]]) -> Table:
    """Mean and spread over seeds, a line for each algorithm, shot and mode."""
    seeds = len(next(iter(results.values())))
    shown = Table(title=f"{case}, test users, {seeds} seeds: mean ± half the range")
    for column in ("algorithm", "shot", "model", "AUC", "GAUC"):
        shown.add_column(column)
    for algorithm, runs in results.items():
        for row in zip(*runs, strict=True):
            mode = ("fine-tuned" if algorithm == "Joint" else "adapted") if row[0].adapted else "un-adapted"
            shot = "all" if row[0].shot == ALL_SUPPORT_ROWS else str(row[0].shot)
            quality = (_spread([score.auc for score in row]), _spread([score.gauc for score in row]))
            shown.add_row(algorithm, shot, mode, *quality)
    return shown


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.4f} ±{(max(values) - min(values)) / 2:.4f}"


def summary(results: Mapping[str, Sequence[Sequence[Score]]]) -> dict[str, float]:
    """Mean over seeds of the AUC, by algorithm and mode."""
    return {
        f"{algorithm} {'adapted' if adapted else 'un-adapted'}": statistics.fmean(
            mean_auc(scores, adapted=adapted) for scores in runs
        )
        for algorithm, runs in results.items()
        for adapted in (False, True)
    }


def main(argv: list[str]) -> int:
    """Train every algorithm with every seed and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench quality", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real data sets with ml-1m/, for P1")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="at most, in place of the manifest's")
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    console = Console()
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(arguments.data, Path(folder), arguments.epochs):
            results = {name: by_seed(case, name, arguments.seeds) for name in ALGORITHMS}
            console.print(table(case.name, results))
            figures[case.name] = summary(results)
    if arguments.out is not None:
        ratios = {
            f"{case} MAML adapted / Joint": f["MAML adapted"] / f["Joint un-adapted"] for case, f in figures.items()
        }
        write_result(arguments.out, ratios, figures)
    return 0
