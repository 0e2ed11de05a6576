"""How good a model is on a split: ranking quality and calibration, by shot and class of tasks, adapted and un-adapted.

All metrics are exact, over any number of ranks: no rank needs the rows of the others, and the scores are the same bits.
AUC is the probability that a positive is scored above a negative, a tie counting one half (the Mann-Whitney statistic).
GAUC and nDCG are unweighted means over the tasks that have both labels: a constant added to all scores of a task raises
the pooled AUC, never these, so only they show that adaptation learned preferences and not a mere bias.
"""

from gmeta_worker.evaluation.score import MEASURES, Score, headline
from gmeta_worker.evaluation.shot import MODES, Outcomes, SplitScores, score_shot
from gmeta_worker.evaluation.task_class import CLASSES

__all__ = ["CLASSES", "MEASURES", "MODES", "Outcomes", "Score", "SplitScores", "headline", "score_shot"]
