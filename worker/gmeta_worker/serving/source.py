"""Raw rows of new tasks: a CSV or Parquet file with the columns that the features are made of."""

# ruff: noqa: S608 - see engine.py

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmeta_api.errors import DataError
from gmeta_api.spec import PrepareSpec
from gmeta_api.spec.prepare import LabelSpec, SplitSpec, SupportOrderSpec
from gmeta_worker.metaio import Ragged
from gmeta_worker.metaio.card import NumericCard
from gmeta_worker.metaio.prepare.engine import Engine, quoted
from gmeta_worker.metaio.prepare.joined import join_sources
from gmeta_worker.metaio.prepare.rows import ROW, build_rows
from gmeta_worker.metaio.prepare.sources import Source, find_source
from gmeta_worker.metaio.prepare.statistics import transformed
from gmeta_worker.metaio.prior import PRIOR_SCHEMA
from gmeta_worker.serving.signature import NumericInput, Signature

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class RawRows:
    """The rows of a file, in its order.

    Attributes:
        task_keys: int64[n].
        tasks: what each row's task is called.
        keys: int64[n, C], categorical features.
        multi: multi-valued features.
        numeric: float32[n, D], transformed.
        labels: float32[n, L], NaN where a row lacks one; zeros where the file needs none.
    """

    task_keys: Ints
    tasks: pa.Array
    keys: Ints
    multi: tuple[Ragged, ...]
    numeric: NDArray[np.float32]
    labels: NDArray[np.float32]

    def slice(self, lo: int, hi: int) -> "RawRows":
        """Rows lo..hi."""
        return RawRows(
            self.task_keys[lo:hi],
            self.tasks.slice(lo, hi - lo),
            self.keys[lo:hi],
            tuple(ragged.slice(lo, hi) for ragged in self.multi),
            self.numeric[lo:hi],
            self.labels[lo:hi],
        )


class RowSource:
    """Reads files of raw rows as `gmeta prepare` reads its source.

    Args:
        spec: how the dataset was made.
        signature: of the exported model.
        folder: of the export.
    """

    def __init__(self, spec: PrepareSpec, signature: Signature, folder: Path) -> None:
        self._spec = spec
        self._signature = signature
        self._folder = folder

    def read(self, path: Path, *, labelled: bool) -> RawRows:
        """Read a file.

        Raises:
            DataError: the file, a column or a row is not as it should be; names it.
        """
        try:
            return self._read(path, labelled=labelled)
        except DataError as error:
            raise DataError(f"{path}: {str(error).removeprefix(f'source {path.name}: ')}") from None

    def _read(self, path: Path, *, labelled: bool) -> RawRows:
        source = find_source(path.parent, path.name, "auto", None)
        spec = _alone(self._spec, source, labelled=labelled)
        with TemporaryDirectory() as scratch:
            engine = Engine(Path(scratch) / "engine")
            try:
                joined = join_sources(engine, spec, [source])
                engine.seal()
                build_rows(joined, spec)
                _require_complete(engine)
                return self._arrays(engine.table("rows", self._select()))
            finally:
                engine.close()

    def _select(self) -> str:
        """SQL of the columns, in the order of the file."""
        columns = self._signature.columns
        numbers = [
            f"CAST({transformed(f'numeric_{n}', _numbers(each))} AS FLOAT) AS numeric_{n}"
            if each.prior is None
            else f"prior_key_{n}"
            for n, each in enumerate(self._signature.numeric)
        ]
        categorical = [f"categorical_{n}" for n in range(len(columns.categorical))]
        multi = [f"multi_{n}" for n in range(len(columns.multi))]
        labels = [f"coalesce(CAST(label_{n} AS FLOAT), 'nan') AS label_{n}" for n in range(len(columns.labels))]
        return f"SELECT {', '.join(['task_key', 'task_value', *labels, *categorical, *multi, *numbers])} FROM rows"

    def _arrays(self, table: pa.Table) -> RawRows:
        columns, count = self._signature.columns, table.num_rows
        keys = [table[f"categorical_{n}"].to_numpy() for n in range(len(columns.categorical))]
        numeric = [self._numeric(table, n, each) for n, each in enumerate(self._signature.numeric)]
        return RawRows(
            task_keys=table["task_key"].to_numpy(),
            tasks=table["task_value"].combine_chunks(),
            keys=np.stack(keys, 1) if keys else np.zeros((count, 0), np.int64),
            multi=tuple(_ragged(table[f"multi_{n}"].combine_chunks()) for n in range(len(columns.multi))),
            numeric=np.stack(numeric, 1) if numeric else np.zeros((count, 0), np.float32),
            labels=np.stack([table[f"label_{n}"].to_numpy() for n in range(len(columns.labels))], 1),
        )

    def _numeric(self, table: pa.Table, number: int, feature: NumericInput) -> NDArray[np.float32]:
        if feature.prior is None:
            values: NDArray[np.float32] = table[f"numeric_{number}"].to_numpy()
            return values
        looked_up = _prior_values(self._folder / feature.prior, table[f"prior_key_{number}"].to_numpy())
        if feature.transform == "standardize":
            looked_up = (looked_up - feature.mean) / feature.std
        return looked_up.astype(np.float32)


def _alone(spec: PrepareSpec, source: Source, *, labelled: bool) -> PrepareSpec:
    """The spec for one file that has all columns, whose rows are in no split."""
    # Without labels every row has the same ones; the expression must be over some column.
    unlabelled = f"{quoted(spec.task[0])} IS NULL"
    changes = {
        "source": source.name,
        "joins": (),
        "labels": tuple(
            LabelSpec(name=label.name, rule=_rule(label, source) if labelled else unlabelled) for label in spec.labels
        ),
        "support_order": SupportOrderSpec(),
        "split": SplitSpec(by="task", train=1, valid=0, test=0),
    }
    return spec.model_copy(update=changes)


def _rule(label: LabelSpec, source: Source) -> str:
    return quoted(label.name) if label.name in source.columns else label.rule


def _require_complete(engine: Engine) -> None:
    bad = engine.rows("rows", f"SELECT {ROW}, left_out FROM rows WHERE left_out IS NOT NULL LIMIT 1")
    if bad:
        raise DataError(f"row {bad[0][0]}: {bad[0][1]}; fill it or remove the row")


def _numbers(feature: NumericInput) -> NumericCard:
    return NumericCard(feature.transform, feature.mean, feature.std, 0)


def _ragged(lists: pa.ListArray) -> Ragged:
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return Ragged(offsets - offsets[0], lists.flatten().to_numpy())


def _prior_values(path: Path, keys: Ints) -> NDArray[np.float64]:
    """The values of keys, 0 for those that training did not see."""
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all().select(PRIOR_SCHEMA.names)
    known, values = table["key"].to_numpy(), table["value"].to_numpy()
    if not len(known):
        return np.zeros(len(keys))
    places = np.searchsorted(known, keys).clip(max=len(known) - 1)
    return np.where(known[places] == keys, values[places], 0.0)
