"""Plain text for a terminal: aligned tables, wrapped sentences, durations as kubectl writes them."""

import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime

WIDTH = 100
"""Columns that every output fits in."""

GAP = "  "
SHORTEST = 12
"""Width that a cell is cut to at most."""
LAST = 30
"""Width that the last column has at least, for it is wrapped."""
UNKNOWN = "-"
"""A cell of what is not known."""

Row = Sequence[str]


def table(header: Row, rows: Iterable[Row]) -> list[str]:
    """Rows in aligned columns; the last one is wrapped, and the widest of the others cut, where they do not fit."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = _fitting([max(len(line[column]) for line in lines) for column in range(len(header))])
    return [text for line in lines for text in _row(line, widths)]


def paragraph(text: str, indent: str = "", first: str | None = None) -> list[str]:
    """A text in lines that fit, each with an indent; lines of the text stay apart."""
    found: list[str] = []
    for line in text.splitlines() or [""]:
        start = first if first is not None and not found else indent
        wrapped = textwrap.wrap(
            line, WIDTH, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
        )
        found += wrapped or [start.rstrip()]
    return found


def labelled(parts: Iterable[tuple[str, str]]) -> list[str]:
    """Lines such as `State:  Running`, their texts aligned and wrapped; an empty text has no line."""
    shown = [(label, text) for label, text in parts if text]
    width = max((len(label) for label, _ in shown), default=0) + 1 + len(GAP)
    return [line for label, text in shown for line in paragraph(text, " " * width, f"{label + ':':<{width}}")]


def bar(percent: int, width: int = 20) -> str:
    """A bar of a share."""
    done = round(width * percent / 100)
    return f"[{'#' * done}{'-' * (width - done)}]"


def duration(seconds: float) -> str:
    """A time span with its two largest units: `3m20s`."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])


def age(moment: object, now: datetime) -> str:
    """How long ago a moment was that a status tells; it may be missing or be no moment."""
    try:
        then = datetime.fromisoformat(str(moment))
        return duration((now - then).total_seconds())
    except (TypeError, ValueError):
        return UNKNOWN


def count(number: int, one: str, many: str = "") -> str:
    """A number of things: `1 worker`, `2 workers`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _fitting(widths: list[int]) -> list[int]:
    """The widths, the widest of all but the last column narrowed until the last one has its room."""
    result = list(widths)
    room = WIDTH - len(GAP) * (len(widths) - 1) - min(widths[-1], LAST)
    while sum(result[:-1]) > room and max(result[:-1]) > SHORTEST:
        result[result.index(max(result[:-1]))] -= 1
    return result


def _row(cells: list[str], widths: list[int]) -> list[str]:
    left = GAP.join(f"{_cut(cell, width):<{width}}" for cell, width in zip(cells[:-1], widths, strict=False))
    indent = " " * (len(left) + len(GAP))
    return paragraph(cells[-1], indent, left + GAP) if cells[-1] else [left.rstrip()]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
