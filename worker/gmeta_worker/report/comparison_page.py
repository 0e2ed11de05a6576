"""A comparison of runs as one HTML page that needs nothing else."""

import base64
from collections.abc import Mapping, Sequence

from gmeta_worker.report.comparison import Line, Run
from gmeta_worker.report.page import environment

MEASURES = {"AUC": "auc", "GAUC": "gauc", "nDCG@10": "ndcg_10", "Loss": "loss", "ECE": "calibration_error"}
CAPTIONS = {
    "shots": "Quality by shot: solid lines adapted, dashed lines un-adapted.",
    "training": "Quality during training on the split that each run watched, adapted, at its largest shot.",
}


def render_comparison(runs: Sequence[Run], split: str, lines: Sequence[Line], figures: Mapping[str, bytes]) -> str:
    """Return the page of a comparison with its figures (PNG by name)."""
    images = [(CAPTIONS[name], base64.b64encode(png).decode()) for name, png in figures.items()]
    template = environment().get_template("comparison.html")
    return template.render(runs=runs, split=split, lines=lines, measures=MEASURES, images=images)
