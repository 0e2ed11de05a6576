"""Commits in the background: training stands still while a snapshot is taken, not while files are written."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from gmeta_worker.checkpoint import CommitWriter, Layout
from gmeta_worker.checkpoint.manifest import Score
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.messages import ShardWritten
from gmeta_worker.training.commits import StateSnapshot
from gmeta_worker.training.early_stop import Metric
from gmeta_worker.training.loop import Position
from gmeta_worker.training.reporting import Sender

Committed = Callable[[float, float], None]


class Committer:
    """Makes this rank's share of commits, one after the other, each in a thread of its own.

    What goes wrong there is raised by the next call of any method: `check` is the one for every step.

    Args:
        client: says when a step is committed.
        writer: writes the files.
        layout: of the rows.
        sender: this rank.
        take: takes a snapshot of the state.
        metric: what commits are ranked by.
        committed: called, in the thread, with the seconds that a commit took and those that training stood still.
    """

    def __init__(
        self,
        client: CoordinatorClient,
        writer: CommitWriter,
        layout: Layout,
        sender: Sender,
        take: Callable[[], StateSnapshot],
        metric: Metric,
        committed: Committed,
    ) -> None:
        self._client = client
        self._writer = writer
        self._layout = layout
        self._sender = sender
        self._take = take
        self._metric = metric
        self._committed = committed
        self._underway: Future[None] | None = None

    def commit(self, position: Position, value: float | None) -> None:
        """Begin to commit the state as it is now, once the commit before it has been made.

        Args:
            position: where the run stands.
            value: of the metric at this very step, if it was evaluated.
        """
        started = time.perf_counter()
        self.wait()
        snapshot = self._take()
        stood_still = time.perf_counter() - started

        def write() -> None:
            try:
                self._write(snapshot, position, value)
            finally:
                snapshot.rows.close()
            self._committed(time.perf_counter() - started, stood_still + snapshot.rows.seconds)

        self._underway = _in_background(write)

    def check(self) -> None:
        """Raise what has gone wrong in the background, if anything has."""
        if self._underway is not None and self._underway.done():
            self.wait()

    def wait(self) -> None:
        """Return when everything is committed.

        Raises:
            CheckpointError: a file cannot be written; names it.
            FencedError: another process has taken over.
            CoordinationError: the coordinator cannot be reached or refuses the commit.
        """
        underway, self._underway = self._underway, None
        if underway is not None:
            underway.result()

    def _write(self, snapshot: StateSnapshot, position: Position, value: float | None) -> None:
        step = position.ledger.global_step
        files = snapshot.write(self._writer, step)
        self._client.shard_written(
            ShardWritten(
                **self._sender.fence,
                step=step,
                files=tuple(files),
                layout=self._layout,
                ledger=position.ledger,
                evaluation=None if value is None else Score(metric=self._metric, value=value),
                trainer=position.progress.model_dump(),
            )
        )


def _in_background(work: Callable[[], None]) -> Future[None]:
    """Run `work` in a thread that does not keep the process alive: a rank that must end does not wait for others."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # raised where the result is asked for
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=run, name="commit", daemon=True).start()
    return future
