"""One worker's run, from its start or a commit, to its outcome."""

import time
from functools import partial

from gmeta_api.exit_codes import ExitCode
from gmeta_api.spec import Spec
from gmeta_worker.checkpoint import (
    CommitWriter,
    Ledger,
    LoadedCommit,
    best,
    load_commit,
    open_commit,
    require_same_layout,
)
from gmeta_worker.checkpoint.manifest import Score as CommitScore
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.messages import Finish, Outcome, ShardWritten, Welcome
from gmeta_worker.metaio import Dataset, StepReader, SupportPolicy
from gmeta_worker.metrics import WorkerMetrics
from gmeta_worker.runtime import Runtime
from gmeta_worker.training.commits import layout_of, restore_training, restore_weights, start_position, write_state
from gmeta_worker.training.components import Components, build_components, choose_device
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.evaluator import Evaluator, Score, headline
from gmeta_worker.training.loop import LoopActions, Position, Stop, TrainingLoop, total_steps
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.reporting import Reporter, Sender
from gmeta_worker.training.step import TrainingStep
from gmeta_worker.training.stop_signal import StopSignal


class TrainingRun:
    """The parts of a run, joined. Building it loads dataset and commit; `outcome` does the work."""

    def __init__(self, runtime: Runtime, client: CoordinatorClient, welcome: Welcome, stop: StopSignal) -> None:
        spec = runtime.document.spec
        self._runtime = runtime
        self._spec = spec
        self._client = client
        self._stop = stop
        self._clock = PhaseClock()
        self._sender = Sender(runtime.document.attempt, welcome.generation, welcome.rank)
        self._dataset = Dataset.open(runtime.dataset_folder)
        loaded = None if welcome.commit is None else load_commit(open_commit(runtime.run_folder / welcome.commit.path))
        self._parts = build_parts(spec, self._dataset, loaded)
        self._optimizer = DenseOptimizer(spec.optimizer.dense, self._parts.model)
        self._layout = layout_of(self._parts, spec.model.embedding_dim)
        self._position = self._restore(loaded)
        self._evaluator = Evaluator(self._parts)
        self._writer = CommitWriter(runtime.run_folder, self._sender.attempt, self._sender.generation, self._layout)
        job = runtime.document.job
        self._metrics = WorkerMetrics(job_name=job.name, namespace=job.namespace, rank=welcome.rank)

    def outcome(self) -> Finish:
        """Train, then score the final split with the best commit; how the run ended."""
        training = self._spec.training
        reader = open_reader(self._spec, self._dataset)
        total = total_steps(training, reader.steps())
        reporter = Reporter(self._client, self._sender, self._metrics, self._clock, reader, total)
        step = TrainingStep(self._parts, self._optimizer, self._spec.optimizer, total, self._clock)
        evaluate = partial(self._evaluate, reporter, training.evaluation.split)
        actions = LoopActions(step, reporter.step, evaluate, self._commit, self._stop)
        loop = TrainingLoop(training, self._spec.checkpoint.every_steps, reader, actions, self._clock)
        with self._metrics.serving(self._runtime.metrics_port):
            position, ended = loop.run(self._position)
            if ended is Stop.INTERRUPTED:
                return self._finish("interrupted", ended.value, ExitCode.INTERRUPTED)
            self._final_evaluation(reporter, position.ledger)
        return self._finish("succeeded", ended.value, ExitCode.OK)

    def _restore(self, loaded: LoadedCommit | None) -> Position:
        if loaded is None:
            return start_position()
        require_same_layout(loaded.commit, self._layout)
        restore_weights(loaded, self._parts)
        return restore_training(loaded, self._optimizer)

    def _evaluate(self, reporter: Reporter, split: str, ledger: Ledger) -> Score:
        """Score and report a split; the score that stands for the whole."""
        scores = self._evaluator(self._dataset.split(split), self._spec.training.evaluation.shots)
        whole = headline(scores, adapted=self._spec.meta.algorithm != "Joint")
        reporter.evaluation(ledger, split, scores, whole)
        return whole

    def _final_evaluation(self, reporter: Reporter, ledger: Ledger) -> None:
        """Score the final split, not looked at before, with the weights of the best evaluation."""
        chosen = best(self._runtime.run_folder)
        if chosen is not None:
            restore_weights(load_commit(chosen), self._parts)
            ledger = chosen.manifest.ledger
        with self._clock.measure("evaluation"):
            self._evaluate(reporter, self._spec.training.evaluation.final_split, ledger)

    def _commit(self, position: Position, value: float | None) -> None:
        started = time.perf_counter()
        files = write_state(self._writer, self._parts, self._optimizer, position)
        stop = self._spec.training.early_stop
        metric = "auc" if stop is None else stop.metric
        self._client.shard_written(
            ShardWritten(
                **self._sender.fence,
                step=position.ledger.global_step,
                files=tuple(files),
                layout=self._layout,
                ledger=position.ledger,
                evaluation=None if value is None else CommitScore(metric=metric, value=value),
                trainer=position.progress.model_dump(),
            )
        )
        self._metrics.commit(time.perf_counter() - started)

    def _finish(self, outcome: Outcome, message: str, exit_code: ExitCode) -> Finish:
        sender = self._sender
        return Finish(
            attempt=sender.attempt, generation=sender.generation, outcome=outcome, message=message, exit_code=exit_code
        )


def build_parts(spec: Spec, dataset: Dataset, loaded: LoadedCommit | None) -> Components:
    """The parts for a dataset; a commit's own keys take precedence, so that its rows keep their meaning."""
    schema = dataset.card.schema
    names = dict.fromkeys(feature.vocabulary for feature in (*schema.categorical, *schema.multi))
    keys = {name: dataset.vocabulary(name) for name in names}
    if loaded is not None:
        keys |= loaded.vocabularies
    return build_components(spec, schema, keys, choose_device(spec.training.device))


def open_reader(spec: Spec, dataset: Dataset) -> StepReader:
    """The training reader that `spec` describes."""
    data, training = spec.data, spec.training
    support = data.support
    return StepReader(
        dataset.split("train"),
        tasks_per_step=training.tasks_per_step,
        support=SupportPolicy(support.policy, size=support.size, min=support.min, max=support.max),
        max_task_rows=data.max_task_rows,
        seed=training.seed,
        prefetch=data.prefetch,
    )
