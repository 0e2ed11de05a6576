"""One rank's run, from its start or a commit, to its outcome."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from gmeta_api.exit_codes import ExitCode
from gmeta_api.spec import Spec, SupportSpec
from gmeta_worker.checkpoint import (
    Commit,
    CommitWriter,
    Ledger,
    LoadedCommit,
    best,
    load_commit,
    open_commit,
    require_same_layout,
)
from gmeta_worker.checkpoint.manifest import commit_folder
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.messages import Finish, Outcome
from gmeta_worker.membership.rank import RankContext
from gmeta_worker.metaio import WHOLE, Dataset, Share, StepReader, SupportPolicy
from gmeta_worker.metrics import WorkerMetrics
from gmeta_worker.parallel import ALONE, Group, broadcast
from gmeta_worker.runtime import Runtime
from gmeta_worker.training.commits import layout_of, restore_training, restore_weights, start_position, take_snapshot
from gmeta_worker.training.committer import Committer
from gmeta_worker.training.components import Components, build_components, choose_device
from gmeta_worker.training.demand import demand_of
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.evaluator import Evaluator, Score, headline
from gmeta_worker.training.loop import LoopActions, Position, Stop, TrainingLoop
from gmeta_worker.training.origin import grown_keys, open_origin, take_over
from gmeta_worker.training.part import OwnPart
from gmeta_worker.training.phase_plan import plan_phases
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.placement import NOTHING_KNOWN
from gmeta_worker.training.reporting import Reporter, Sender
from gmeta_worker.training.step import StepResult, TrainingStep


class TrainingRun:
    """The parts of a run, joined. Building it loads dataset and commit; `outcome` does the work."""

    def __init__(
        self, runtime: Runtime, client: CoordinatorClient, context: RankContext, stop: Callable[[], bool]
    ) -> None:
        joined, self._group = context.round, context.group
        spec = runtime.document.spec
        self._runtime = runtime
        self._spec = spec
        self._client = client
        self._stop = stop
        self._clock = PhaseClock()
        self._sender = Sender(runtime.document.attempt, joined.generation, self._group.rank)
        self._dataset = Dataset.open(runtime.dataset_folder)
        self._part = OwnPart(self._group.rank, joined.weights)
        self._local_rank = context.local_rank
        loaded = None if joined.commit is None else load_commit(open_commit(runtime.run_folder / joined.commit.path))
        origin = self._origin() if loaded is None else None
        keys = dataset_keys(self._dataset)
        keys = grown_keys(keys, origin) if origin else keys | (loaded.vocabularies if loaded else {})
        self._parts = build_parts(spec, self._dataset, keys, self._group, self._local_rank)
        self._optimizer = DenseOptimizer(spec.optimizer.dense, self._parts.model)
        self._layout = layout_of(self._parts, spec.model.embedding_dim)
        self._position = self._restore(loaded) if loaded else self._start(origin)
        self._evaluator = Evaluator(self._parts)
        job = runtime.document.job
        self._metrics = WorkerMetrics(job_name=job.name, namespace=job.namespace, rank=self._group.rank)
        self._committer = self._make_committer()

    def outcome(self) -> Finish:
        """Train, then score the final split with the best commit; how the run ended.

        Raises:
            PeerLostError: another rank is gone; what is committed stands.
        """
        training = self._spec.training
        reader = open_reader(self._spec, self._dataset, Share(self._group.rank, self._group.size, self._part))
        phases = plan_phases(self._spec, reader.steps())
        reporter = Reporter(self._client, self._sender, self._metrics, self._clock, reader, phases.total)
        step = TrainingStep(
            self._parts, self._optimizer, self._spec.optimizer, phases, self._part, self._stop, self._clock
        )
        evaluate = partial(self._evaluate, reporter, training.evaluation.split, training.evaluation.shots)
        actions = LoopActions(step, partial(self._after_step, reporter), evaluate, self._committer.commit)
        loop = TrainingLoop(training, self._spec.checkpoint.every_steps, phases, reader, actions, self._clock)
        port = self._runtime.metrics_port
        with self._metrics.serving(port and port + self._local_rank):
            position, ended = loop.run(self._position)
            with self._clock.measure("commit"):
                self._committer.wait()
            if ended is Stop.INTERRUPTED:
                return self._finish("interrupted", ended.value, ExitCode.INTERRUPTED)
            self._final_evaluation(reporter, position.ledger)
        return self._finish("succeeded", ended.value, ExitCode.OK)

    def _origin(self) -> LoadedCommit | None:
        folder = self._runtime.origin_folder
        return None if folder is None else open_origin(folder, self._group)

    def _start(self, origin: LoadedCommit | None) -> Position:
        given = self._spec.training.init_from
        if origin and given:
            take_over(origin, self._parts, self._layout, self._optimizer, with_state=given.optimizer)
        return start_position()

    def _restore(self, loaded: LoadedCommit) -> Position:
        require_same_layout(loaded.commit, self._layout)
        restore_weights(loaded, self._parts)
        return restore_training(loaded, self._optimizer)

    def _make_committer(self) -> Committer:
        sender, stop = self._sender, self._spec.training.early_stop
        folder, owned = self._runtime.run_folder, self._parts.store.blocks()
        return Committer(
            self._client,
            CommitWriter(folder, sender.attempt, sender.generation, self._layout, owned),
            self._layout,
            sender,
            partial(take_snapshot, self._parts, self._optimizer),
            "auc" if stop is None else stop.metric,
            self._metrics.commit,
        )

    def _after_step(self, reporter: Reporter, ledger: Ledger, result: StepResult) -> None:
        self._committer.check()
        reporter.step(ledger, result)

    def _evaluate(self, reporter: Reporter, split: str, shots: Sequence[int], ledger: Ledger) -> Score:
        """Score and report a split; the score that stands for the whole."""
        scores = self._evaluator(self._dataset.split(split), shots)
        whole = headline(scores.whole, adapted=self._parts.delivered != "Joint")
        reporter.evaluation(ledger, split, scores, whole)
        return whole

    def _final_evaluation(self, reporter: Reporter, ledger: Ledger) -> None:
        """Score the final split, not looked at before, with the weights of the best evaluation."""
        chosen = self._best_commit()
        if chosen is not None:
            restore_weights(load_commit(chosen), self._parts)
            ledger = chosen.manifest.ledger
        asked = self._spec.training.evaluation
        with self._clock.measure("evaluation"):
            self._evaluate(reporter, asked.final_split, asked.final_shots or asked.shots, ledger)

    def _best_commit(self) -> Commit | None:
        """What rank 0 finds best: another rank's view of a network volume may lag behind."""
        chosen = best(self._runtime.run_folder) if self._group.rank == 0 else None
        name = (-1, -1) if chosen is None else (chosen.manifest.attempt, chosen.manifest.step)
        attempt, step = broadcast(self._group, torch.tensor(name)).tolist()
        return None if step < 0 else open_commit(self._runtime.run_folder / commit_folder(attempt, step))

    def _finish(self, outcome: Outcome, message: str, exit_code: ExitCode) -> Finish:
        sender = self._sender
        return Finish(
            attempt=sender.attempt, generation=sender.generation, outcome=outcome, message=message, exit_code=exit_code
        )


def dataset_keys(dataset: Dataset) -> dict[str, NDArray[np.int64]]:
    """The keys of a dataset's vocabularies."""
    schema = dataset.card.schema
    names = dict.fromkeys(feature.vocabulary for feature in (*schema.categorical, *schema.multi))
    return {name: dataset.vocabulary(name) for name in names}


def build_parts(
    spec: Spec, dataset: Dataset, keys: Mapping[str, NDArray[np.int64]], group: Group = ALONE, local_rank: int = 0
) -> Components:
    """The parts for a dataset and the known keys: those of a commit, so that its rows keep their meaning."""
    demand = demand_of(dataset, spec.training.tasks_per_step / group.size) if group.size > 1 else NOTHING_KNOWN
    device = choose_device(spec.training.device, local_rank)
    return build_components(spec, dataset.card.schema, keys, device, group, demand)


def open_reader(spec: Spec, dataset: Dataset, share: Share = WHOLE) -> StepReader:
    """The training reader that `spec` describes."""
    data, training = spec.data, spec.training
    return StepReader(
        dataset.split("train"),
        tasks_per_step=training.tasks_per_step,
        support=_support_policy(data.support),
        max_task_rows=data.max_task_rows,
        seed=training.seed,
        prefetch=data.prefetch,
        share=share,
    )


def _support_policy(cut: SupportSpec) -> SupportPolicy:
    """The policy that `cut` describes."""
    return SupportPolicy(cut.policy, size=cut.size, min=cut.min, max=cut.max, drawn=cut.rows == "any")
