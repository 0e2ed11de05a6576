"""Progress of a run in the terminal: one live line, or a plain line every few seconds where there is no terminal."""

import math
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gmeta_worker.coordination.labels import by_label, titled
from gmeta_worker.coordination.messages import Export, MetricRow
from gmeta_worker.coordination.status import Status

PLAIN_SECONDS = 5.0


class ProgressDisplay:
    """Shows status documents as they come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=1)
        self._next_plain = 0.0
        self._evaluations = 0
        self._generation = 0
        self._exported: Export | None = None

    def show(self, status: Status) -> None:
        """Show `status`; a new evaluation, a new round and an export get lines of their own that stay."""
        progress = status.progress
        if status.generation > self._generation:
            self._generation = status.generation
            if status.reason:
                self._console.print(round_line(status), markup=False, highlight=False, soft_wrap=True)
        if status.evaluations > self._evaluations and progress is not None:
            self._evaluations = status.evaluations
            self._console.print(evaluation_line(status), highlight=False, soft_wrap=True)
        if status.export is not None and status.export != self._exported:
            self._exported = status.export
            self._console.print(export_line(status.export), markup=False, highlight=False, soft_wrap=True)
        if progress is None:
            return
        self._bar.update(
            self._task,
            total=max(progress.total_steps, 1),
            completed=progress.step,
            description=throughput_line(status),
        )
        if not self._console.is_terminal and time.monotonic() >= self._next_plain:
            self._next_plain = time.monotonic() + PLAIN_SECONDS
            line = f"step {progress.step}/{progress.total_steps}  {throughput_line(status)}"
            self._console.print(line, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def throughput_line(status: Status) -> str:
    """Samples and tasks a second, loss, valid AUC and the share of time spent waiting for input."""
    progress = status.progress
    if progress is None:
        return status.state
    auc = "—" if progress.auc is None or math.isnan(progress.auc) else f"{progress.auc:.4f}"
    return (
        f"epoch {progress.epoch}  {progress.samples_per_second:,.0f} samples/s  "
        f"{progress.tasks_per_second:,.0f} tasks/s  "
        f"loss {progress.loss:.4f}  valid AUC {auc}  input wait {progress.input_wait_share:.0%}"
    )


def round_line(status: Status) -> str:
    """Who goes on from where, and why."""
    start = f"step {status.commit.step}" if status.commit else "the beginning"
    ranks = "1 rank goes" if status.world_size == 1 else f"{status.world_size} ranks go"
    return f"{status.reason}: {ranks} on from {start} (generation {status.generation})"


def export_line(export: Export) -> str:
    """What is exported where, and since when it is whole."""
    ended = "" if export.created is None else f": whole, made {export.created:%Y-%m-%d %H:%M:%S} UTC"
    return f"export of step {export.step} to {export.path} of volume {export.volume}{ended}"


def evaluation_line(status: Status) -> str:
    """The latest evaluation: a line for each label, by shot, un-adapted and adapted."""
    evaluation = status.last_evaluation
    if evaluation is None:
        return ""
    start = f"step {evaluation.step}  {evaluation.split}"
    return "\n".join(
        f"{titled(start, label)} AUC un-adapted → adapted:  {_auc_by_shot(rows)}"
        for label, rows in by_label(evaluation.rows).items()
    )


def _auc_by_shot(rows: Sequence[MetricRow]) -> str:
    by_shot: dict[int, dict[bool, float]] = {}
    for row in rows:
        by_shot.setdefault(row.shot, {})[row.adapted] = row.auc
    return "   ".join(
        f"{shot}-shot " + " → ".join(f"{auc[mode]:.4f}" for mode in (False, True) if mode in auc)
        for shot, auc in by_shot.items()
    )
