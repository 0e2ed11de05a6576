"""RFC 3339 as Kubernetes writes it, to the second."""

from datetime import UTC, datetime


def to_text(moment: datetime) -> str:
    """A moment, with a zone, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_text(text: str | None) -> datetime | None:
    """What `to_text` or the API server wrote; None for nothing, and for what is no moment with a zone.

    Whoever may write a job's status must not stop the passes over it, nor those over all jobs.
    """
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
