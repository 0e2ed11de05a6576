"""`gmeta prepare`: ratings or impressions (CSV, Parquet) become a Meta-IO dataset."""

from gmeta_worker.metaio.prepare.pipeline import run
from gmeta_worker.metaio.prepare.progress import Progress

__all__ = ["Progress", "run"]
