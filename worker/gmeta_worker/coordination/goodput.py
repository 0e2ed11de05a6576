"""Where a job's time goes, from its rounds and its progress. Pure; docs/goodput.md has the definitions."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pydantic import NonNegativeFloat

from gmeta_worker.checkpoint.record import Record
from gmeta_worker.coordination.events import Event
from gmeta_worker.coordination.messages import Finish, Formed, Progress, Recorded


class Goodput(Record):
    """Seconds of a job by what they were used for, over all its attempts; none of them ever falls."""

    startup_seconds: NonNegativeFloat = 0.0
    productive_seconds: NonNegativeFloat = 0.0
    commit_seconds: NonNegativeFloat = 0.0
    input_seconds: NonNegativeFloat = 0.0
    straggler_seconds: NonNegativeFloat = 0.0
    rework_seconds: NonNegativeFloat = 0.0
    regroup_seconds: NonNegativeFloat = 0.0

    @property
    def lost_seconds(self) -> dict[str, float]:
        """What was lost, by cause."""
        return {
            "startup": self.startup_seconds,
            "restart": self.rework_seconds + self.regroup_seconds,
            "commit": self.commit_seconds,
            "input": self.input_seconds,
            "straggler": self.straggler_seconds,
        }

    @property
    def ratio(self) -> float | None:
        """Productive over all of it; None as long as there is nothing."""
        whole = self.productive_seconds + sum(self.lost_seconds.values())
        return self.productive_seconds / whole if whole else None

    def plus(self, **seconds: float) -> "Goodput":
        """With so many more seconds of each kind."""
        return self.model_copy(
            update={f"{kind}_seconds": getattr(self, f"{kind}_seconds") + more for kind, more in seconds.items()}
        )


def training_seconds(spent: Goodput) -> float:
    """Seconds in which the ranks were in their training loops."""
    waits = spent.commit_seconds + spent.input_seconds + spent.straggler_seconds
    return spent.productive_seconds + waits + spent.rework_seconds


@dataclass(frozen=True)
class Account:
    """What is accounted for so far.

    Attributes:
        spent: the seconds.
        until: up to when they are accounted for, on the job's clock.
        furthest: the last step that was ever done; whatever is done up to it is done again.
        attempt: the newest one that has formed a round.
        trained: whether a round of that attempt has made progress.
        begun: the step that the current round began from.
        last: newest progress of the current round.
    """

    spent: Goodput = field(default_factory=Goodput)
    until: float = 0.0
    furthest: int = 0
    attempt: int | None = None
    trained: bool = False
    begun: int = 0
    last: Progress | None = None


def account_of(events: Iterable[Event]) -> Account:
    """The account of everything that has happened."""
    account = Account()
    for event in events:
        account = entered(account, event.message, event.at)
    return account


def entered(account: Account, message: Recorded, at: float) -> Account:
    """The account after what has happened at `at`."""
    at = max(at, account.until)
    match message:
        case Formed():
            return _formed(account, message, at)
        case Progress():
            return _progressed(account, message, at)
        case Finish():
            return _finished(account, message, at)
    return account


def _formed(account: Account, message: Formed, at: float) -> Account:
    """A round begins. Nobody knows here why the job had no attempt for a while, so that time is left out."""
    step = message.commit.step if message.commit else 0
    account = replace(account, begun=step, furthest=max(account.furthest, step), last=None)
    if account.attempt in (None, message.attempt):
        return replace(account, attempt=message.attempt)
    return replace(account, attempt=message.attempt, trained=False, until=at)


def _progressed(account: Account, message: Progress, at: float) -> Account:
    account = _began_training(account, at - sum(message.seconds.values()))
    steps_before = account.last.step if account.last else account.begun
    again = _share_again(steps_before, message.step, account.furthest)
    span = at - account.until
    fresh = span * (1 - again)
    waits = _waits(account.last, message, again)
    scale = min(1.0, fresh / sum(waits.values())) if sum(waits.values()) else 0.0
    lost = {cause: seconds * scale for cause, seconds in waits.items()}
    productive = max(0.0, fresh - sum(lost.values()))
    return replace(
        account,
        spent=account.spent.plus(productive=productive, rework=span - fresh, **lost),
        until=at,
        furthest=max(account.furthest, message.step),
        trained=True,
        last=message,
    )


def _began_training(account: Account, at: float) -> Account:
    """The first progress of a round tells when its training began; until then the ranks were getting ready."""
    if account.last is not None or at <= account.until:
        return account
    kind = "regroup" if account.trained else "startup"
    return replace(account, spent=account.spent.plus(**{kind: at - account.until}), until=at)


def _share_again(before: int, after: int, furthest: int) -> float:
    """Which share of the steps between two reports had been done already."""
    if after <= before:
        return 0.0
    return min(1.0, max(0.0, (min(after, furthest) - before) / (after - before)))


def _waits(before: Progress | None, after: Progress, again: float) -> dict[str, float]:
    """Exposed waiting between two reports, without the share that belongs to steps that were done again."""

    def grown(now: float, then: float) -> float:
        return max(0.0, now - then) * (1 - again)

    return {
        "commit": grown(after.seconds.get("commit", 0.0), before.seconds.get("commit", 0.0) if before else 0.0),
        "input": grown(after.wait_seconds, before.wait_seconds if before else 0.0),
        "straggler": grown(after.straggler_seconds, before.straggler_seconds if before else 0.0),
    }


def _finished(account: Account, message: Finish, at: float) -> Account:
    """The attempt has ended; after the last step come its commit, the last evaluation and the export."""
    span = at - account.until
    if account.last is None:
        kind = "regroup" if account.trained else "startup"
    elif message.outcome in ("succeeded", "stopped"):
        kind = "productive"
    else:
        kind = "commit" if message.outcome == "interrupted" else "regroup"
    return replace(account, spent=account.spent.plus(**{kind: span}), until=at, last=None)
