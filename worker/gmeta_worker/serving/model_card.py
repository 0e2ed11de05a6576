"""`MODEL_CARD.md`: what the exported model is, for people."""

from collections.abc import Iterable, Sequence

import yaml

from gmeta_worker.coordination.messages import Evaluation
from gmeta_worker.metaio import Card
from gmeta_worker.serving.manifest import ExportedFile, ExportManifest
from gmeta_worker.serving.recipe import Recipe

INTENDED_USE = """\
To rank items for a task (a user, an item, a scenario: whatever the dataset calls a task) from a few labelled rows of
it, the support rows. `signature.json` says how inputs are made, `adapt.json` how the model adapts to a task; a task
without support rows is scored with the shared parameters."""

LIMITS = """\
- Scores are comparable within a task. Their level is that of the training data: calibrate before using them as
  probabilities elsewhere.
- A key that training has not seen gets the vocabulary's row for unknown keys, or a row shared by hash.
- Rates and counts are those of the training data and grow old with it.
- Scores were measured on the split named above; other data, other support sizes and other ways to pick support rows are
  not covered by them."""


def model_card(
    manifest: ExportManifest, recipe: Recipe, card: Card, scores: Evaluation | None, files: Sequence[ExportedFile]
) -> str:
    """The card as Markdown."""
    model = manifest.spec["model"]
    kind = model.get("type", "DLRM") if isinstance(model, dict) else "DLRM"
    return "\n\n".join(
        [
            f"# {manifest.job.name}",
            f"{kind}, trained with {recipe.algorithm}. Exported {manifest.created:%Y-%m-%d %H:%M} UTC from attempt "
            f"{manifest.attempt}, step {manifest.step}{_chosen_by(manifest)}.",
            f"## Intended use\n\n{INTENDED_USE}",
            f"## Scores\n\n{_scores(scores)}",
            f"## Limits\n\n{LIMITS}",
            f"## Data\n\n{_data(card)}",
            f"## Adaptation\n\n{_adaptation(recipe)}",
            f"## Manifest\n\n```yaml\n{yaml.safe_dump(manifest.spec, sort_keys=False).rstrip()}\n```",
            f"## Files\n\n{_files(files)}\n",
        ]
    )


def _chosen_by(manifest: ExportManifest) -> str:
    score = manifest.evaluation
    return "" if score is None else f", chosen by {score.metric} {score.value:.4f} during training"


def _scores(scores: Evaluation | None) -> str:
    if scores is None:
        return "The run has told none of this commit; `gmeta evaluate` measures them."
    rows = (
        (
            row.label,
            str(row.shot),
            "adapted" if row.adapted else "un-adapted",
            f"{row.auc:.4f}",
            f"{row.gauc:.4f}",
            f"{row.loss:.4f}",
            f"{row.tasks:,}",
            f"{row.rows:,}",
        )
        for row in scores.rows
    )
    head = ("label", "support rows", "model", "AUC", "GAUC", "log loss", "tasks", "query rows")
    return f"The run's last evaluation of this commit, on the {scores.split} split.\n\n{_table(head, rows)}"


def _data(card: Card) -> str:
    rows = ((name, f"{split.tasks:,}", f"{split.rows:,}") for name, split in card.splits.items())
    sources = ", ".join(card.provenance.sources)
    return f"Dataset {card.provenance.digest}, made from {sources}.\n\n{_table(('split', 'tasks', 'rows'), rows)}"


def _adaptation(recipe: Recipe) -> str:
    groups = {**recipe.layers, **{f"rows of {name}": size for name, size in recipe.vocabularies.items()}}
    rows = ((name, f"{size.rate:.6g}", f"{size.shrinkage:.6g}") for name, size in groups.items())
    judged = "" if recipe.judged_adapted else " The run was judged by its un-adapted scores."
    return f"{recipe.words}{judged}\n\nSteps: {recipe.steps}.\n\n{_table(('what adapts', 'rate', 'shrinkage'), rows)}"


def _files(files: Sequence[ExportedFile]) -> str:
    return _table(("file", "bytes", "sha256"), ((f"`{f.path}`", f"{f.bytes:,}", f"`{f.sha256}`") for f in files))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
