"""Scores of several labels, for people."""

from collections.abc import Sequence
from typing import TypeVar

from gmeta_worker.coordination.messages import MetricRow

AnyRow = TypeVar("AnyRow", bound=MetricRow)


def by_label(rows: Sequence[AnyRow]) -> dict[str, list[AnyRow]]:
    """The rows of each label, the first label first."""
    found: dict[str, list[AnyRow]] = {}
    for row in rows:
        found.setdefault(row.label, []).append(row)
    return found


def of_first_label(rows: Sequence[AnyRow]) -> list[AnyRow]:
    """The rows of the label that early stopping and progress go by."""
    return next(iter(by_label(rows).values()), [])


def titled(what: str, label: str) -> str:
    """A title with the label; scores of older versions have none."""
    return f"{what}, {label}" if label else what
