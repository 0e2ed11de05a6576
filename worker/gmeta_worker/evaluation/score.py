"""Quality as numbers, from the sums over all ranks."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import fmean

from gmeta_worker.evaluation.exact_sum import value_of
from gmeta_worker.evaluation.sums import Sums

NAN = float("nan")


@dataclass(frozen=True)
class Score:
    """Quality on the query rows of a split that have a label, at one shot. A measure is NaN where nothing defines it.

    Attributes:
        label: name of the label.
        shot: support rows a task was given, at most (a task with fewer keeps what it has).
        adapted: whether the model was adapted to the support rows first.
        auc: pooled over all query rows.
        gauc: unweighted mean AUC over the tasks with both values of the label among their query rows.
        loss: mean binary cross entropy of the query rows.
        calibration: mean predicted probability over the mean label, 1 at best.
        calibration_error: expected calibration error over 10 bins with equal numbers of rows.
        ndcg_5: unweighted mean nDCG@5 over the tasks with both values.
        ndcg_10: the same of nDCG@10.
        tasks: tasks with at least one query row.
        rows: query rows.
    """

    label: str
    shot: int
    adapted: bool
    auc: float
    gauc: float
    loss: float
    calibration: float
    calibration_error: float
    ndcg_5: float
    ndcg_10: float
    tasks: int
    rows: int


MEASURES = tuple(field.name for field in fields(Score) if field.type is float)


def score_of(label: str, shot: int, adapted: bool, sums: Sums) -> Score:
    """The score that the sums over all ranks (one SUMS) come to."""
    negatives, positives = sums["rows"].tolist()
    tasks, ranked = sums["tasks"].tolist()
    rows = negatives + positives
    probabilities = [value_of(digits) for digits in sums["bin_probability"]]
    off = [abs(sum_ - hits) for sum_, hits in zip(probabilities, sums["bin_positives"].tolist(), strict=True)]
    ndcg_5, ndcg_10 = (_ratio(value_of(digits), ranked) for digits in sums["ndcg"])
    return Score(
        label=label,
        shot=shot,
        adapted=adapted,
        auc=_ratio(int(sums["ordered_pairs"]), 2 * negatives * positives),
        gauc=_ratio(value_of(sums["auc"]), ranked),
        loss=_ratio(value_of(sums["loss"]), rows),
        calibration=_ratio(sum(probabilities), positives),
        calibration_error=_ratio(sum(off), rows),
        ndcg_5=ndcg_5,
        ndcg_10=ndcg_10,
        tasks=tasks,
        rows=rows,
    )


def headline(scores: Sequence[Score], *, adapted: bool) -> Score:
    """One score for progress and early stopping: the mean over the shots, of the adapted or the un-adapted model.

    Of several labels the first one's counts.
    """
    label = scores[0].label
    chosen = [score for score in scores if score.adapted is adapted and score.label == label]
    means = {name: fmean(getattr(score, name) for score in chosen) for name in MEASURES}
    return Score(label=label, shot=0, adapted=adapted, tasks=chosen[0].tasks, rows=chosen[0].rows, **means)


def _ratio(part: float, whole: int) -> float:
    return part / whole if whole else NAN
