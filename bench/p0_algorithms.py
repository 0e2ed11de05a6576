"""Other algorithms on protocol P0, beside the manifest's own: each trains the same model on the same data.

Run it after `python -m bench p0` with the same --out, whose dataset, runs and report it takes; a run of an algorithm
that has succeeded there is taken too, so a broken-off comparison goes on. Settings are the manifest's, which were
searched for CAVIA, but for what is named here.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.p0 import GROUPS, MANIFEST
from bench.protocol import finished_run, options_of, run_seed, show, summary
from bench.result import write_result

ONE_STEP = "spec.meta.inner.steps=1"
"""Where whole layers adapt: a seed of MAML takes twelve minutes with one step already."""
ALGORITHMS: Mapping[str, tuple[str, Sequence[str]]] = {
    "CAVIA": ("seed", ()),
    "CAVIA, first order": (
        "cavia-first-order",
        ("spec.meta.algorithm=FOMAML", 'spec.meta.adapt.dense=["bias", "context", "wide.head"]'),
    ),
    "MAML": ("maml", ("spec.meta.algorithm=MAML", ONE_STEP)),
    "ANIL (MeLU)": ("anil", ("spec.meta.algorithm=ANIL", ONE_STEP)),
    "Joint, its bias fine-tuned": ("joint", ("spec.meta.algorithm=Joint", 'spec.meta.adapt.dense=["bias"]')),
}
"""Names of run folders, and settings."""


def main(argv: list[str]) -> int:
    """Train each algorithm and print the tables."""
    parser = options_of("p0_algorithms", __doc__)
    parser.add_argument("--result", type=Path, default=Path("docs/benchmarks/p0.json"), help="file for the figures")
    parser.set_defaults(out=Path("runs/p0"))
    options = parser.parse_args(argv)
    report = json.loads((options.out / "report.json").read_text())
    figures = {f"CAVIA, {len(report['seeds'])} seeds": report}
    for name, (folder, own) in ALGORITHMS.items():
        runs = {
            seed: finished_run(options.out / f"{folder}-{seed}")
            or run_seed(MANIFEST, options.out, folder, seed, (*own, *options.settings))
            for seed in range(options.seeds)
        }
        figures[name] = summary(runs, GROUPS)
    for metric in ("auc", "auc_unadapted", "gauc", "gauc_unadapted"):
        show(f"P0, {metric}", {name: found[metric] for name, found in figures.items()}, GROUPS)
    write_result(options.result, {}, figures)
    return 0
