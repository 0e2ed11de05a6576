"""Writing the report into the run folder."""

from collections.abc import Sequence

from gmeta_api.document import JobDocument
from gmeta_worker.checkpoint.files import replace_durably
from gmeta_worker.checkpoint.object_path import Folder
from gmeta_worker.coordination.events import Event
from gmeta_worker.report.build import build_report


def write_report(run_folder: Folder, document: JobDocument, events: Sequence[Event]) -> Folder:
    """Write `report.json`, a PNG a figure and `report.html` into the run folder; return the path of the page.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    # The coordinator imports this module when it starts; matplotlib takes longer than all the rest of it.
    from gmeta_worker.report.figures import draw_figures
    from gmeta_worker.report.page import render_page

    report = build_report(document, events)
    figures = draw_figures(report)
    page = run_folder / "report.html"
    replace_durably(run_folder / "report.json", report.model_dump_json(indent=1).encode())
    for name, png in figures.items():
        replace_durably(run_folder / f"{name}.png", png)
    replace_durably(page, render_page(report, figures).encode())
    return page
