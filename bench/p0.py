"""Quality on protocol P0: MovieLens-1M, the split of RESUS, cold users by support size, three seeds.

Trains the manifest with `gmeta run`, two workers, one seed after the other, and writes report.json. Test users are
scored once a seed, at the end, by the commit that was best on valid users.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.p0_sources import write_sources
from bench.protocol import DATA, options_of, own_rows, run_seed, show, summary, write_report

MANIFEST = Path(__file__).parents[1] / "examples/movielens-1m-p0.yaml"
GROUPS: Mapping[str, Sequence[int]] = {
    **{f"k{k}": (k,) for k in (1, 5, 10, 30)},
    "I": range(1, 11),
    "II": range(11, 21),
    "III": range(21, 31),
}


def main(argv: list[str]) -> int:
    """Prepare, train the seeds, and write the report."""
    began = time.monotonic()
    parser = options_of("p0", __doc__)
    parser.add_argument("--data", type=Path, required=True, help=DATA)
    options = parser.parse_args(argv)
    sources = options.out / "data/p0-raw"
    if not (sources / "movies.csv").exists():  # the last one written; newer files would be another dataset
        write_sources(options.data, sources)
    runs = {seed: run_seed(MANIFEST, options.out, "seed", seed, options.settings) for seed in range(options.seeds)}
    found = summary(runs, GROUPS) | {"wall_seconds": round(time.monotonic() - began)}
    write_report(options.out / "report.json", found)
    show(f"P0, mean of {options.seeds} seeds", own_rows(found), GROUPS)
    return 0
