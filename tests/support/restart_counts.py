"""The counts of restarts in a status."""

from typing import Any


def restarts(status: dict[str, Any]) -> tuple[int, int]:
    """Counted and uncounted ones."""
    return status["restarts"]["counted"], status["restarts"]["uncounted"]
