"""Progress of a preparation, told phase by phase."""

import logging
from typing import Protocol

LOGGER = logging.getLogger("gmeta.prepare")


class Progress(Protocol):
    """Hears what is being done."""

    def phase(self, name: str, rows: int | None = None) -> None:
        """A phase begins, and the former one has ended; ``rows`` is what it will write, if known."""

    def advance(self, rows: int) -> None:
        """The phase has written ``rows`` more rows."""


class LogProgress:
    """A log line for each phase: for pods."""

    def phase(self, name: str, rows: int | None = None) -> None:
        """Log the phase."""
        LOGGER.info("%s%s", name, "" if rows is None else f": {rows} rows")

    def advance(self, rows: int) -> None:
        """Nothing: the phase has said how many there will be."""
