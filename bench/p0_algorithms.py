"""The algorithms on protocol P0: each trains the manifest's model on the same data, by its own settings, three seeds.

Run it after `python -m bench p0` with the same --out, whose dataset and report it takes. Settings were chosen on valid
users.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.p0 import GROUPS, MANIFEST
from bench.protocol import options_of, run_seed, show, summary
from bench.result import write_result

ONE_STEP = "spec.meta.inner.steps=1"
"""Where whole layers adapt: with learned step sizes more steps gain little and cost much more."""
OTHERS: Mapping[str, Sequence[str]] = {
    "CAVIA, first order": ("spec.meta.algorithm=FOMAML", 'spec.meta.adapt.dense=["bias", "context", "wide.head"]'),
    "MAML": ("spec.meta.algorithm=MAML", ONE_STEP),
    "ANIL (MeLU)": ("spec.meta.algorithm=ANIL", ONE_STEP),
    "Joint, its bias fine-tuned": ("spec.meta.algorithm=Joint", 'spec.meta.adapt.dense=["bias"]'),
}


def main(argv: list[str]) -> int:
    """Train each algorithm and print one table."""
    parser = options_of("p0_algorithms", __doc__)
    parser.add_argument("--result", type=Path, default=Path("docs/benchmarks/p0.json"), help="file for the figures")
    parser.add_argument("--only", action="append", choices=list(OTHERS), help="train this one (may be given again)")
    options = parser.parse_args(argv)
    figures = {"CAVIA": json.loads((options.out / "report.json").read_text())}
    for name in options.only or OTHERS:
        settings = (*OTHERS[name], *options.settings)
        folder = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
        runs = {seed: run_seed(MANIFEST, options.out, folder, seed, settings) for seed in range(options.seeds)}
        figures[name] = summary(runs, GROUPS)
    for metric in ("auc", "auc_unadapted", "gauc", "gauc_unadapted"):
        show(f"P0, {metric}, mean of {options.seeds} seeds", {name: f[metric] for name, f in figures.items()}, GROUPS)
    write_result(options.result, {}, figures)
    return 0
