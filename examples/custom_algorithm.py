"""An algorithm of one's own: MAML that also keeps the shared model good for tasks that have no support yet.

    PYTHONPATH=examples gmeta run examples/movielens-maml.yaml --set spec.meta.algorithm=custom_algorithm:WarmStart \\
        --set spec.meta.args={share: 0.3}
"""

from torch import Tensor, nn

from gmeta_worker.meta import (
    Adapting,
    InnerLoops,
    StepGradients,
    TaskSamples,
    logits_of,
    row_loss,
    summed_gradients,
)


class WarmStart(Adapting):
    """(1 - share) times the query loss after the inner loop, plus share times the query loss before it.

    Scores come from `Adapting`: those of the evaluation's inner loop.

    Args:
        loops: what adapts and how, from the manifest's meta section.
        share: of the loss before the inner loop, in [0, 1].
    """

    def __init__(self, loops: InnerLoops, share: float = 0.5) -> None:
        super().__init__(loops)
        if not 0 <= share <= 1:
            raise ValueError(f"share: expected a number from 0 to 1, received {share}")
        self._share = share

    def gradients(self, model: nn.Module, rows: Tensor, samples: TaskSamples) -> StepGradients:
        """Sums over labelled query samples: the step divides by their number over all ranks."""
        leaf = rows.detach().requires_grad_()  # gradients of the rows go to their owners
        parts = (part for part in self.loops.adapter.parts(samples) if len(part.query))
        losses = (self._loss(model, leaf, part) for part in parts)
        return summed_gradients(model, leaf, losses, weight=int(samples.query.labelled.sum()))

    def _loss(self, model: nn.Module, leaf: Tensor, part: TaskSamples) -> Tensor:
        adapted = self.loops.adapter.adapt(model, leaf, part, self.loops.training).query_logits()
        before = logits_of(model, leaf, part.query)
        return (1 - self._share) * row_loss(adapted, part.query) + self._share * row_loss(before, part.query)
