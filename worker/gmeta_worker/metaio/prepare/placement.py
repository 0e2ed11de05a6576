"""Which task goes where: splits, dropped tasks, the one shuffle of tasks, and the chunks that they are packed into."""

# ruff: noqa: S608 - see engine.py

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from gmeta_api.errors import DataError
from gmeta_api.spec.prepare import PrepareSpec, SplitSpec
from gmeta_worker.metaio.prepare.engine import Engine
from gmeta_worker.metaio.prepare.rows import SPLITS
from gmeta_worker.metaio.tasks import TaskIndex, cut_long_tasks


@dataclass(frozen=True)
class Placement:
    """The tasks of a split in file order.

    Attributes:
        index: One entry for each piece of a task.
        values: The task's value in the source, for each entry.
        single_class_tasks: Tasks (not pieces) whose first label never varies.
    """

    index: TaskIndex
    values: pa.Array
    single_class_tasks: int

    @property
    def rows(self) -> int:
        """Rows of the split."""
        return int(self.index.rows.sum())


def place_tasks(engine: Engine, spec: PrepareSpec) -> None:
    """Create the table ``tasks``, (split, task_key, position, …) of every task, and the view ``placed`` of its rows.

    ``position`` is the place in the split's shuffle; a task below ``taskRows.min`` has none.
    """
    engine.run("tasks", f"CREATE VIEW kept AS {_kept(engine, spec)}")
    engine.run(
        "tasks",
        f"""CREATE TABLE tasks AS
            SELECT *, CASE WHEN rows >= {spec.task_rows.min} THEN row_number() OVER (
                     PARTITION BY split, rows >= {spec.task_rows.min} ORDER BY {_shuffle(spec.seed, "order")}, task_key
                   ) - 1 END AS position
            FROM (SELECT split, task_key, min(task_value) AS task_value, count(*) AS rows, count(rank) AS ranked,
                         coalesce(min(label_0) = max(label_0), true) AS single_class
                  FROM kept GROUP BY split, task_key)""",
    )
    engine.run(
        "tasks",
        """CREATE VIEW placed AS SELECT kept.*, tasks.position FROM kept JOIN tasks USING (split, task_key)
           WHERE tasks.position IS NOT NULL""",
    )


def placement(engine: Engine, spec: PrepareSpec, split: str) -> Placement:
    """Return the tasks of a split, cut at ``taskRows.max`` and packed into chunks.

    Raises:
        DataError: No task is left.
    """
    table = engine.table(
        f"split {split}",
        f"""SELECT task_key, task_value, rows, ranked, single_class FROM tasks
            WHERE split = '{split}' AND position IS NOT NULL ORDER BY position""",
    )
    if table.num_rows == 0:
        raise DataError(
            f"split {split}: no task of at least {spec.task_rows.min} rows; change split, taskRows.min or the label"
        )
    whole = TaskIndex(
        key=table["task_key"].to_numpy(),
        chunk=np.arange(table.num_rows, dtype=np.int64),
        start=np.zeros(table.num_rows, np.int64),
        rows=table["rows"].to_numpy(),
        ranked=table["ranked"].to_numpy(),
    )
    pieces = cut_long_tasks(whole, spec.task_rows.max)
    return Placement(
        index=pack(pieces, spec.chunk_rows),
        values=table["task_value"].combine_chunks().take(pa.array(pieces.chunk)),
        single_class_tasks=int(table["single_class"].to_numpy().sum()),
    )


def pack(tasks: TaskIndex, chunk_rows: int) -> TaskIndex:
    """Pack consecutive tasks into chunks: a chunk ends with the task that reaches a multiple of ``chunk_rows``.

    A task never spans chunks, so that a chunk may be longer than ``chunk_rows`` by its last task.
    """
    before = np.cumsum(tasks.rows) - tasks.rows
    _, first, chunk = np.unique(before // chunk_rows, return_index=True, return_inverse=True)
    return TaskIndex(tasks.key, chunk.astype(np.int64), before - before[first][chunk], tasks.rows, tasks.ranked)


def left_out(engine: Engine, spec: PrepareSpec) -> dict[str, int]:
    """Count the source rows that are in no split, by reason."""
    counts = engine.rows(
        "rows", "SELECT left_out, count(*) FROM rows WHERE left_out IS NOT NULL GROUP BY ALL ORDER BY 1"
    )
    ((short,),) = engine.rows("tasks", "SELECT coalesce(sum(rows), 0) FROM tasks WHERE position IS NULL")
    reasons = {reason: int(count) for reason, count in counts}
    return {**reasons, f"task has fewer than {spec.task_rows.min} rows": int(short)} if short else reasons


def split_names(engine: Engine, spec: PrepareSpec) -> tuple[str, ...]:
    """Name the splits: those with a fraction of the tasks, or with a row in the source; train always."""
    if spec.split.by == "task":
        return tuple(name for name in SPLITS if getattr(spec.split, name))
    found = {name for (name,) in engine.rows("split", "SELECT DISTINCT split FROM rows WHERE left_out IS NULL")}
    return tuple(name for name in SPLITS if name in found or name == "train")


def split_sizes(tasks: int, split: SplitSpec) -> dict[str, int]:
    """Return how many of the tasks go to each split: its fraction, rounded, but at least one where that is above 0."""
    fractions = [("train", split.train or 0.0), ("valid", split.valid or 0.0), ("test", split.test or 0.0)]
    wanted = [(name, fraction) for name, fraction in fractions if fraction > 0]
    sizes, rest = {}, tasks
    for later, (name, fraction) in zip(reversed(range(len(wanted))), wanted, strict=True):
        sizes[name] = max(min(round(fraction * tasks), rest - later), 1) if later else rest
        rest -= sizes[name]
    return sizes


def _kept(engine: Engine, spec: PrepareSpec) -> str:
    if spec.split.by == "column":
        return "SELECT * FROM rows WHERE left_out IS NULL"
    engine.run("split", f"CREATE TABLE task_places AS {_task_places(spec)}")
    ((tasks,),) = engine.rows("split", "SELECT count(*) FROM task_places WHERE NOT short")
    cases, upper = "", 0
    for name, size in split_sizes(tasks, spec.split).items():
        upper += size
        cases += f" WHEN place < {upper} THEN '{name}'"
    return f"SELECT rows.*, CASE{cases} END AS split FROM rows JOIN task_places USING (task_key) WHERE left_out IS NULL"


def _task_places(spec: PrepareSpec) -> str:
    """SELECT of the tasks in a seeded shuffle; those too short for any split come last."""
    short = f"count(*) < {spec.task_rows.min}"
    return f"""SELECT task_key, {short} AS short,
                      row_number() OVER (ORDER BY {short}, {_shuffle(spec.seed, "split")}, task_key) - 1 AS place
               FROM rows WHERE left_out IS NULL GROUP BY task_key"""


def _shuffle(seed: int, purpose: str) -> str:
    return f"md5_number_lower('{purpose}:{seed}:' || task_key)"
