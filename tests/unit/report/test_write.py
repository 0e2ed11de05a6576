import base64
import json
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gmeta_api.document import JobDocument
from gmeta_worker.coordination.messages import MetricRow
from gmeta_worker.report import write_report
from gmeta_worker.report.build import build_report
from gmeta_worker.report.model import Report
from gmeta_worker.report.page import ShotLine, count, duration, gain, metric, share, size

MakeDocument = Callable[..., JobDocument]
PNG = b"\x89PNG\r\n\x1a\n"
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Checks that tags are balanced and collects what the page refers to, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[bytes] = []
        self.references: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in {"href", "src"}:
                self.references.append(value or "")
                self.images.append(
                    base64.b64decode((value or "").removeprefix("data:image/png;base64,"), validate=True)
                )

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words += data.split()


def undefined_rows() -> tuple[MetricRow, ...]:
    return (MetricRow(shot=5, adapted=False, auc=math.nan, gauc=math.nan, loss=math.nan, tasks=0, rows=0),)


def full(history: Any) -> Any:
    history.formed(0.0)
    for report in range(1, 25):
        history.progress(float(report), 10 * report, 0.9 * report, 0.5 + 1 / report, evaluation=0.1 * report)
        if report % 6 == 0:
            history.evaluation(float(report), 10 * report, auc=0.6 + report / 1000)
            history.commit(float(report), 10 * report, 0.6)
    return history.evaluation(25.0, 240, "test", auc=0.625).finish(26.0)


CASES: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    "nothing": (lambda history: history, set()),
    "formed": (lambda history: history.formed(0.0), set()),
    "one point": (lambda history: history.formed(0.0).progress(1.0, 10, 0.5), {"loss", "throughput", "time"}),
    "no time": (lambda history: history.formed(0.0).progress(1.0, 10, 0.0), {"loss"}),
    "diverged": (
        lambda history: (
            history.formed(0.0).progress(1.0, 10, 0.5, loss=math.nan).finish(2.0, "failed", "the loss is nan", 69)
        ),
        {"throughput", "time"},
    ),
    "undefined quality": (
        lambda history: history.formed(0.0).evaluation(1.0, 10, rows=undefined_rows()),
        {"shots", "quality"},
    ),
    "interrupted": (
        lambda history: history.formed(0.0).progress(1.0, 10, 0.5).evaluation(2.0, 10).finish(3.0, "interrupted"),
        {"loss", "quality", "shots", "throughput", "time"},
    ),
    "full": (full, {"loss", "quality", "shots", "throughput", "time"}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_history_gives_a_whole_report(case: str, history: Any, document: MakeDocument, tmp_path: Path) -> None:
    fill, figures = CASES[case]
    events = fill(history).events
    page = write_report(tmp_path, document(), events)
    assert page == tmp_path / "report.html"
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"report.html", "report.json"} | {f"{figure}.png" for figure in figures}
    expected = build_report(document(), events)
    assert Report.model_validate_json((tmp_path / "report.json").read_text()).model_dump_json() == (
        expected.model_dump_json()
    )
    json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    parsed = Page(page.read_bytes().decode())
    pngs = [(tmp_path / f"{figure}.png").read_bytes() for figure in figures]
    assert sorted(parsed.images) == sorted(pngs), "the page holds the figures themselves"
    assert all(png.startswith(PNG) for png in pngs)
    assert all(reference.startswith("data:image/png;base64,") for reference in parsed.references)
    assert expected.ending.outcome in " ".join(parsed.words)


def test_the_page_says_what_matters(history: Any, document: MakeDocument, tmp_path: Path) -> None:
    text = " ".join(Page(write_report(tmp_path, document(), full(history).events).read_bytes().decode()).words)
    assert text.startswith("demo: G-Meta report demo MAML · DLRM · data:movies succeeded : all steps")
    assert "0.6750 test AUC, 10-shot, adapted 0.5000 test GAUC, 10-shot, adapted" in text
    assert "556 samples/s 22 task batches/s 21.6 s training 26.0 s wall time" in text
    assert "1 0.6250 0.6750 +0.0500 0.5000 0.5000 +0.0000 0.6000 0.6000 7 70" in text
    assert "10 0.3000 1.3000 0.4000 1.4000 1.1000 2.1000 0.0200 1.0200" in text
    assert "1-9 10 0.6250 0.6750 +0.0500" in text
    assert "100+ 1 0.6250 0.6750 +0.0500" in text
    assert "240 (24 whole epochs)" in text
    assert "Waited for input 10.0% of the training time" in text
    assert "Goodput 91.7%, 23.8 s" in text
    assert "startup 0.0 s, restart 0.0 s, commit 0.0 s, input 2.2 s, straggler 0.0 s" in text


def test_the_page_without_data_says_so(document: MakeDocument, tmp_path: Path) -> None:
    text = " ".join(Page(write_report(tmp_path, document(), []).read_bytes().decode()).words)
    assert "The model was not evaluated before the run ended." in text
    assert "No step was reported before the run ended." in text


def test_what_users_write_is_escaped(history: Any, document: MakeDocument, tmp_path: Path) -> None:
    message = "<script>alert('x')</script> & more"
    history.formed(0.0).finish(1.0, "failed", message, 1)
    page = write_report(tmp_path, document(), history.events).read_bytes().decode()
    assert "<script" not in page
    assert message in " ".join(Page(page).words)


def test_the_page_needs_nothing_else_and_fits_light_and_dark(
    history: Any, document: MakeDocument, tmp_path: Path
) -> None:
    page = write_report(tmp_path, document(), full(history).events).read_bytes().decode()
    assert not re.search(r"https?://|@import|url\(|<link|<script", page)
    assert "prefers-color-scheme: dark" in page


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (metric(0.5), "0.5000"),
        (metric(math.nan), "n/a"),
        (metric(None), "n/a"),
        (share(0.1234), "12.3%"),
        (share(math.nan), "n/a"),
        (count(1234567.0), "1,234,567"),
        (count(math.nan), "n/a"),
        (duration(0.04), "0.0 s"),
        (duration(59.94), "59.9 s"),
        (duration(61), "1 min 01 s"),
        (duration(3599.6), "1 h 00 min"),
        (duration(7325), "2 h 02 min"),
        (size(1023), "1,023 B"),
        (size(1024), "1.0 KiB"),
        (size(5 * 2**20), "5.0 MiB"),
        (size(2**50), "1,024.0 TiB"),
    ],
)
def test_numbers_in_words(words: str, expected: str) -> None:
    assert words == expected


def test_gain_needs_both_modes() -> None:
    before = MetricRow(shot=1, adapted=False, auc=0.5, gauc=math.nan, loss=0.6, tasks=1, rows=2)
    after = MetricRow(shot=1, adapted=True, auc=0.45, gauc=0.6, loss=0.6, tasks=1, rows=2)
    assert gain(ShotLine(1, before, after), "auc") == "-0.0500"
    assert gain(ShotLine(1, before, after), "gauc") == "n/a"
    assert gain(ShotLine(1, None, after), "auc") == "n/a"
