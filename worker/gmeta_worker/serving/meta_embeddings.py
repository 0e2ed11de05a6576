"""Meta embeddings as a table: a vector for each task of a file of support rows."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gmeta_worker.serving.adapt import Adaptation


def write_meta_embeddings(adaptation: Adaptation, support: Path, out: Path) -> int:
    """Adapt to the tasks of a support file and write their meta embeddings as Parquet; how many there are.

    Raises:
        DataError: the file, a column or a row is not as it should be; names it.
        ModelError: nothing of the model has an output that is a meta embedding.
        OSError: it cannot be written.
    """
    tasks, vectors = adaptation.meta_embeddings(adaptation.read(support, labelled=True))
    kind = pa.list_(pa.float32(), vectors.shape[1])
    embedding = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), type=kind)
    pq.write_table(pa.table({"task": tasks, "embedding": embedding}), out)
    return len(tasks)
