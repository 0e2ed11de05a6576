"""Speed over the last half minute."""

from dataclasses import dataclass

WINDOW_SECONDS = 30.0


@dataclass(frozen=True)
class Sighting:
    """Running totals as they stood when they arrived.

    Attributes:
        at: seconds on the job's clock.
        samples: rows consumed.
        tasks: task batches consumed.
        wait_seconds: seconds waited for input.
    """

    at: float
    samples: int
    tasks: int
    wait_seconds: float


@dataclass(frozen=True)
class Rates:
    """Samples and tasks a second, and the share of the time that steps waited for input (0 to 1)."""

    samples: float = 0.0
    tasks: float = 0.0
    wait_share: float = 0.0


def seen(window: tuple[Sighting, ...], sighting: Sighting) -> tuple[Sighting, ...]:
    """Return the window with a new sighting, without those that have become too old; at least two stay."""
    recent = tuple(old for old in window[:-1] if sighting.at - old.at <= WINDOW_SECONDS)
    return (*recent, *window[-1:], sighting)


def rates(window: tuple[Sighting, ...]) -> Rates:
    """Return the mean rates between the first and the last sighting; zero before the second."""
    if len(window) < 2 or window[-1].at <= window[0].at:
        return Rates()
    first, last = window[0], window[-1]
    seconds = last.at - first.at
    return Rates(
        samples=(last.samples - first.samples) / seconds,
        tasks=(last.tasks - first.tasks) / seconds,
        wait_share=min(1.0, max(0.0, (last.wait_seconds - first.wait_seconds) / seconds)),
    )
