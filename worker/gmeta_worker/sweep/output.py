"""What a sweep leaves: sweep.json, best.yaml and sweep.html."""

import base64
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from gmeta_api.yaml_loader import resolve
from gmeta_worker.checkpoint.files import replace_durably
from gmeta_worker.sweep.manifest import Sweep
from gmeta_worker.sweep.result import SweepResult
from gmeta_worker.sweep.space import short_names, shown

BEST_SHOWN = 10


def write_numbers(out: Path, sweep: Sweep, result: SweepResult) -> None:
    """Write sweep.json, and best.yaml where there is a best trial.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    replace_durably(out / "sweep.json", result.model_dump_json(indent=1).encode())
    if result.best is not None:
        replace_durably(out / "best.yaml", best_manifest(sweep, result).encode())


def best_manifest(sweep: Sweep, result: SweepResult) -> str:
    """The job's manifest with the settings of the best trial."""
    best = result.ranked()[0]
    head = (
        f"# Trial {best.number} of a sweep of {sweep.spec.job}: {result.metric} {best.value:.5f} on {result.split}.\n"
    )
    return head + to_yaml(sweep.manifest_with(best.params))


def to_yaml(manifest: dict[str, Any]) -> str:
    """A manifest as YAML 1.2: a text that is something else there is quoted."""
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=120)


def write_page(out: Path, sweep: Sweep, result: SweepResult) -> None:
    """Write sweep.html.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    from gmeta_worker.report.page import environment
    from gmeta_worker.sweep.figures import draw_sweep

    templates = environment()
    templates.filters["setting"] = shown
    images = [(caption, base64.b64encode(png).decode()) for caption, png in draw_sweep(result, sweep.spec.space)]
    page = templates.get_template("sweep.html").render(
        result=result,
        best=result.ranked()[:BEST_SHOWN],
        failed=[trial for trial in result.trials if trial.state == "failed"],
        names=short_names([parameter.path for parameter in sweep.spec.space]),
        states=Counter(trial.state for trial in result.trials),
        images=images,
    )
    replace_durably(out / "sweep.html", page.encode())


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if isinstance(resolve(value), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
