"""What every benchmark shares: repeated, interleaved timing, and a result file."""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.goals import Goals, goal_table, missed, plot


@dataclass(frozen=True)
class Timing:
    """Repeats of one contestant: CPU seconds of all threads, and wall seconds."""

    cpu: Sequence[float]
    wall: Sequence[float]

    @property
    def median_cpu(self) -> float:
        """Median CPU seconds."""
        return statistics.median(self.cpu)

    @property
    def median_wall(self) -> float:
        """Median wall seconds."""
        return statistics.median(self.wall)

    @property
    def spread(self) -> float:
        """Largest minus smallest CPU seconds, as a share of the median."""
        return (max(self.cpu) - min(self.cpu)) / self.median_cpu


def interleave(contestants: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Timing]:
    """Time the contestants in turn, ``repeats`` times, after one unmeasured round."""
    cpu: dict[str, list[float]] = {name: [] for name in contestants}
    wall: dict[str, list[float]] = {name: [] for name in contestants}
    for measured in [False] + [True] * repeats:
        for name, run in contestants.items():
            cpu_start, wall_start = time.process_time(), time.perf_counter()
            run()
            if measured:
                cpu[name].append(time.process_time() - cpu_start)
                wall[name].append(time.perf_counter() - wall_start)
    return {name: Timing(cpu[name], wall[name]) for name in contestants}


def publish(out: Path | None, ratios: Mapping[str, float], figures: Mapping[str, Any], goals: Goals) -> int:
    """Print the ratios beside their goals, and write them where `out` says; 1 if a goal is missed, else 0."""
    Console().print(goal_table(ratios, goals))
    if out is not None:
        write_result(out, ratios, figures, goals)
    return 1 if missed(ratios, goals) else 0


def write_result(
    out: Path, ratios: Mapping[str, float], figures: Mapping[str, Any], goals: Goals | None = None
) -> None:
    """Write a result: when, which commit, which machine, ratios by name, their goals, absolute figures; and a plot."""
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {"cpu": _cpu_model(), "cores": os.cpu_count(), "python": platform.python_version()},
        "ratios": {name: round(value, 4) for name, value in ratios.items()},
        "goals": {name: str(goal) for name, goal in (goals or {}).items()},
        "figures": figures,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    if ratios:
        plot(out.stem, ratios, goals or {}).savefig(out.with_suffix(".svg"))


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.processor())
