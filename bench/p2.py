"""Quality on protocol P2: MovieLens-1M, new movies as tasks, 20 to 60 warm-up rows, three seeds, and a baseline.

Trains the manifest with `gmeta run`, two workers, one seed after the other. Test movies are scored once a seed, at the
end, by the commit that was best on valid movies. The query of 60 rows is the published test part; that of 20 and 40 has
the later warm-up rows too.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.p2_baseline import two_terms
from bench.p2_sources import write_sources
from bench.protocol import DATA, options_of, own_rows, run_seed, show, summary, write_report

MANIFEST = Path(__file__).parents[1] / "examples/movielens-1m-p2.yaml"
SHOTS = (20, 40, 60)
GROUPS: Mapping[str, Sequence[int]] = {f"k{shot}": (shot,) for shot in SHOTS}


def main(argv: list[str]) -> int:
    """Prepare, train the seeds, and write the report."""
    began = time.monotonic()
    parser = options_of("p2", __doc__)
    parser.add_argument("--data", type=Path, required=True, help=DATA)
    parser.add_argument("--part", choices=("valid", "test"), default="test", help="movies that are scored at the end")
    options = parser.parse_args(argv)
    sources = options.out / "data/p2-raw"
    if not (sources / "movies.csv").exists():  # the last one written; newer files would be another dataset
        write_sources(options.data, sources)
    settings = (f"spec.training.evaluation.finalSplit={options.part}", *options.settings)
    runs = {seed: run_seed(MANIFEST, options.out, "seed", seed, settings) for seed in range(options.seeds)}
    terms = two_terms(sources / "ratings.csv", options.part, SHOTS)
    found = summary(runs, GROUPS) | {"wall_seconds": round(time.monotonic() - began), "two_terms": terms}
    write_report(options.out / "report.json", found)
    baseline = {f"{metric}, two terms": values for metric, values in terms.items()}
    show(f"P2, {options.part} movies, mean of {options.seeds} seeds", own_rows(found) | baseline, GROUPS)
    return 0
