"""The report of a run: `report.json`, figures and one self-contained page."""

from gmeta_worker.report.write import write_report

__all__ = ["write_report"]
