"""Nodes on which pods have failed: the pods of all jobs rather go elsewhere, for a while.

They are remembered in the status of the job that met them, and nowhere else: an operator that starts knows them again.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from gmeta_api.spec import FaultToleranceSpec
from gmeta_api.status import AvoidedNode
from gmeta_operator.failures import Failure
from gmeta_operator.timestamps import from_text, to_text

MOST = 16
"""Nodes that a job's status holds; those that are forgotten last."""

Entry = Mapping[str, Any]


def avoided_nodes(
    before: Iterable[Entry], failures: Iterable[Failure], limits: FaultToleranceSpec, now: datetime
) -> list[dict[str, Any]]:
    """The entries of `status.avoidedNodes`: those of before and of new failures that are not over, by node."""
    lasting = sorted(_lasting([*before, *_held_against(failures, limits)], now), key=_until)
    latest = {each["node"]: dict(each) for each in lasting}
    return sorted(sorted(latest.values(), key=_until)[-MOST:], key=lambda each: str(each["node"]))


def _until(entry: Entry) -> str:
    return str(entry["until"])


def nodes_to_avoid(entries: Iterable[Entry], now: datetime) -> tuple[str, ...]:
    """The nodes of entries that are not over."""
    return tuple(sorted({each["node"] for each in _lasting(entries, now)}))


def _held_against(failures: Iterable[Failure], limits: FaultToleranceSpec) -> Iterator[Entry]:
    for failure in failures:
        if failure.node_fault is not None and failure.pod.node is not None:
            until = failure.at + timedelta(seconds=limits.avoid_nodes_seconds)
            yield AvoidedNode(
                node=failure.pod.node, reason=failure.node_fault, pod=failure.pod.name, until=to_text(until)
            ).model_dump(by_alias=True)


def _lasting(entries: Iterable[Entry], now: datetime) -> Iterator[Entry]:
    """Entries that are not over, as far as they tell a time."""
    return (each for each in entries if (until := from_text(each["until"])) is not None and until > now)
