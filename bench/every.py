"""Every benchmark, one after another: `make bench`. One that needs what is not there is left out, and that is told."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

DATA, CLUSTER = "GMETA_TEST_DATA", "GMETA_TEST_CLUSTER"


@dataclass(frozen=True)
class Bench:
    """How a benchmark is run.

    Attributes:
        name: of its module.
        arguments: beside `--out`; `{DATA}` stands for the folder of data sets.
        variables: of the environment that it needs.
        modules: that it needs beside the project's.
    """

    name: str
    arguments: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """What it needs and is not there."""
        return [
            *(f"the variable {name}" for name in self.variables if name not in os.environ),
            *(f"the module {name}" for name in self.modules if find_spec(name) is None),
        ]

    def command(self, out: Path) -> list[str]:
        """What runs it."""
        arguments = [each.format(DATA=os.environ.get(DATA, "")) for each in self.arguments]
        return [sys.executable, "-m", "bench", self.name, *arguments, "--out", str(out / f"{self.name}.json")]


BENCHES = (
    Bench("meta_step"),
    Bench("price"),
    Bench("step_profile"),
    Bench("memory"),
    Bench("row_operators"),
    Bench("sharded_step", modules=("torchrec",)),
    Bench("scaling"),
    Bench("cost_model"),
    Bench("training_loop"),
    Bench("metaio"),
    Bench("prepare", ("--full", "--data", "{DATA}"), (DATA,), ("pandas",)),
    Bench("commit_stall", ("--optimizers", "RowWiseAdagrad", "Adam")),
    Bench("adapt"),
    Bench("operator", variables=(CLUSTER,)),
)
"""Speed and size. What a model's quality takes hours to measure is run by name: p0, p2, quality."""


def run(out: Path) -> Iterator[tuple[str, str, float]]:
    """Run each; its name, how it ended, and the seconds that it took."""
    for bench in BENCHES:
        if missing := bench.missing():
            yield bench.name, f"left out: it needs {' and '.join(missing)}", 0.0
            continue
        start = time.monotonic()
        code = subprocess.run(bench.command(out), check=False).returncode
        yield (
            bench.name,
            "every goal met" if code == 0 else f"exit code {code}: see its table",
            time.monotonic() - start,
        )


def main(argv: list[str]) -> int:
    """Run all, and tell how each has ended; 1 if one has missed a goal or failed."""
    parser = argparse.ArgumentParser(prog="python -m bench every", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"), help="folder of the results")
    arguments = parser.parse_args(argv)
    table = Table("benchmark", "result", "seconds", title="All benchmarks")
    failed = False
    for name, ended, seconds in run(arguments.out):
        table.add_row(name, ended, f"{seconds:.0f}")
        failed |= ended.startswith("exit")
    Console().print(table)
    return int(failed)
