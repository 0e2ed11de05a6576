"""The groups by which schedulers know a job's pods: when they go, and when they are told that they have ended."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any

from gmeta_api.objects import GENERATION_ANNOTATION, Object, pod_group_reference
from gmeta_api.objects.scheduling import KUEUE_RETRIABLE_ANNOTATION
from gmeta_operator.pods import PodFacts


def group_to_remove(job: Mapping[str, Any], pods: Iterable[PodFacts], now: datetime) -> Object | None:
    """The PodGroup of a job that is suspended or has ended, once no pod of it runs: its place in the queue is free."""
    return None if any(pod.alive(now) for pod in pods) else pod_group_reference(job)


def releases(pods: Iterable[PodFacts], from_attempt: int | None) -> Iterator[PodFacts]:
    """A pod of each Kueue group that has ended and does not say so yet.

    Kueue holds the quota of a group, and each of its pods by a finalizer, until a pod says that no other one will take
    its place.

    Args:
        pods: the pods of a job.
        from_attempt: the oldest attempt that goes on; None where none does.
    """
    grouped = sorted((pod for pod in pods if pod.group is not None), key=lambda pod: (pod.attempt, pod.name))
    for attempt, members in groupby(grouped, key=lambda pod: pod.attempt):
        first, *others = members
        over = from_attempt is None or attempt < from_attempt
        if over and not any(pod.released for pod in (first, *others)):
            yield first


def release(pod: PodFacts, namespace: str) -> Object:
    """The annotation by which a pod ends its group."""
    annotations = {GENERATION_ANNOTATION: str(pod.generation), KUEUE_RETRIABLE_ANNOTATION: "false"}
    metadata = {"namespace": namespace, "name": pod.name, "uid": pod.uid, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
