"""`status.goodput`: where a job's time went. Pure; docs/goodput.md has the definitions.

All time since the job's creation is either added up or still open. Open time is added up when the phase changes, and as
far as the coordinator tells what it was used for. So a pass that was missed loses nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import ValidationError

from gmeta_api.status import Goodput, LostSeconds
from gmeta_operator.decide import Decision
from gmeta_operator.pods import PREPARE
from gmeta_operator.report import ReportedGoodput
from gmeta_operator.status import newest_report
from gmeta_operator.timestamps import from_text, to_text
from gmeta_operator.view import View

Phase = Literal["scheduling", "image", "startup", "preparation", "training", "restart", "suspended", "ended"]
Totals = dict[str, float]

TOLD = ("productive", "commit", "input", "straggler", "rework")
"""What the coordinator tells about the time of training."""
CAUSES = tuple(LostSeconds.model_fields)
"""What time may be lost to."""


@dataclass(frozen=True)
class Moment:
    """What is known when an account is brought up to date.

    Attributes:
        phase: that the job is in now.
        age: seconds since the job was made.
        told: what its coordinator tells.
        now: the time, as it is written.
    """

    phase: Phase
    age: float
    told: ReportedGoodput | None
    now: str


def with_goodput(status: dict[str, Any], view: View, decision: Decision, resource: Mapping[str, Any]) -> dict[str, Any]:
    """A status that says where the time went; nothing is written for the passing of time alone."""
    before = resource.get("status", {})
    report = newest_report(view)
    known = known_goodput(before)
    moment = Moment(
        phase=phase_of(view, decision, known.phase),
        age=age(resource, view.now),
        told=report.goodput if report is not None else None,
        now=to_text(view.now),
    )
    unchanged = {**status, "goodput": before.get("goodput")} == before
    account = known if unchanged and moment.phase == known.phase else brought_up(known, moment)
    return {**status, "goodput": account.model_dump(by_alias=True, exclude_none=True)}


def known_goodput(status: Mapping[str, Any]) -> Goodput:
    """The account as it was written; an empty one where somebody else has written what is none."""
    try:
        return Goodput.model_validate(status.get("goodput", {}))
    except ValidationError:
        return Goodput()


def age(resource: Mapping[str, Any], now: datetime) -> float:
    """Seconds since a job was made."""
    made = from_text(resource["metadata"].get("creationTimestamp"))
    return max(0.0, (now - made).total_seconds()) if made is not None else 0.0


def phase_of(view: View, decision: Decision, before: str | None) -> Phase:
    """What the job's time goes to now; `before` is what it went to until now."""
    if decision.end is not None:
        return "ended"
    if view.job.spec.run_policy.suspend:
        return "suspended"
    if _trains(view):
        return "training"
    pods = [view.newest.get(slot) for slot in view.slots]
    if PREPARE in view.slots and view.runs(pods[0]):
        return "preparation"
    if any(pod is not None and pod.phase == "Pending" and pod.node is None and pod.waiting for pod in pods):
        return "scheduling"
    failed = bool(view.failures) or (view.history.started and None in pods)
    if failed or before in ("restart", "training"):
        return "restart"
    return _starting(view)


def _trains(view: View) -> bool:
    """Whether the ranks are in their training loops; fewer than all workers may do, so only the coordinator knows."""
    report = view.report
    current = report is not None and report.attempt == view.history.attempt and view.runs(view.coordinator)
    return current and report is not None and report.goodput is not None and report.goodput.training


def _starting(view: View) -> Phase:
    """The phase of a group that starts for the first time."""
    pods = [view.newest.get(slot) for slot in view.slots]
    awaited = [pod for pod in pods if not view.runs(pod)]
    if any(pod is None or pod.node is None for pod in awaited):
        return "scheduling"
    return "image" if awaited else "startup"


def brought_up(known: Goodput, moment: Moment) -> Goodput:
    """The account with what is known at a moment."""
    totals = _totals(known)
    open_time = max(0.0, moment.age - _added_up(totals))
    told = moment.told if known.phase != "suspended" else None
    _add_told(totals, told, known, open_time)
    if known.phase != moment.phase:
        rest = max(0.0, moment.age - _added_up(totals))
        totals[_kind_of(known.phase, moment.phase)] += rest
    since = known.since if known.phase == moment.phase else moment.now
    regrouped = moment.told.regroup_seconds if moment.told else 0.0
    return _goodput(totals, moment.phase, since, max(known.regroup_seconds, regrouped))


def now_lost(known: Goodput, age_now: float) -> dict[str, float]:
    """The lost seconds by cause, with the time since the last change added to the current phase."""
    totals = _totals(known)
    if known.phase in CAUSES:
        totals[known.phase] += max(0.0, age_now - _added_up(totals))
    return {cause: totals[cause] for cause in CAUSES}


def ratio_of(productive: float, lost: Mapping[str, float]) -> float | None:
    """Goodput: productive over productive and lost."""
    whole = productive + sum(lost.values())
    return productive / whole if whole > 0 else None


def _add_told(totals: Totals, told: ReportedGoodput | None, known: Goodput, open_time: float) -> None:
    """Divide open time as the coordinator says; what it tells about more time than that stays for later."""
    if told is None:
        return
    due = {name: max(0.0, getattr(told, f"{name}_seconds") - totals[name]) for name in TOLD}
    whole = sum(due.values())
    share = min(1.0, open_time / whole) if whole else 0.0
    added = {name: _tenths(seconds * share) for name, seconds in due.items()}
    regrouped = max(0.0, told.regroup_seconds - known.regroup_seconds)
    for name, seconds in added.items():
        totals[name] += seconds
    totals["restart"] += added["rework"] + _tenths(min(regrouped, max(0.0, open_time - sum(added.values()))))


def _kind_of(phase: str | None, following: Phase) -> str:
    """What the open time at the end of a phase is counted as."""
    if phase == "training":
        return "other" if following in ("ended", "suspended") else "restart"
    return phase or "other"


def _totals(known: Goodput) -> Totals:
    lost = known.lost_seconds.model_dump()
    return {
        "productive": known.productive_seconds,
        "preparation": known.preparation_seconds,
        "suspended": known.suspended_seconds,
        "rework": known.rework_seconds,
        **lost,
    }


def _added_up(totals: Totals) -> float:
    """All time that is added up; rework is a part of restart."""
    return sum(seconds for name, seconds in totals.items() if name != "rework")


def _goodput(totals: Totals, phase: Phase, since: str | None, regrouped: float) -> Goodput:
    exact = {name: round(seconds, 1) for name, seconds in totals.items()}
    lost = {cause: exact[cause] for cause in CAUSES}
    ratio = ratio_of(exact["productive"], lost)
    return Goodput(
        ratio=None if ratio is None else round(ratio, 3),
        productive_seconds=exact["productive"],
        preparation_seconds=exact["preparation"],
        suspended_seconds=exact["suspended"],
        lost_seconds=LostSeconds(**lost),
        wall_seconds=round(_added_up(exact) - exact["suspended"], 1),
        rework_seconds=exact["rework"],
        regroup_seconds=round(regrouped, 1),
        phase=phase,
        since=since,
    )


def _tenths(seconds: float) -> float:
    return math.floor(seconds * 10) / 10
