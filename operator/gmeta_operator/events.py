"""The Kubernetes events of a job: what a change of its status is told as."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from gmeta_api.objects import Object
from gmeta_operator.conditions import STARTING

COUNTS = ("counted", "uncounted")


def events(
    job: Mapping[str, Any], before: Mapping[str, Any], status: Mapping[str, Any], now: datetime
) -> Iterator[Object]:
    """An event for each change of the summary.

    Its name is made of what it says and of when in the job's life: telling it again after a crash makes none, and what
    happens again is told again.
    """
    summary = _summary(status)
    if (before.get("state"), before.get("reason")) == (status.get("state"), status.get("reason")):
        return
    waiting = status["state"] == "Pending" and status["reason"] != STARTING
    warning = waiting or status["state"] in ("Failed", "Restarting")
    yield event(job, "Warning" if warning else "Normal", status["reason"], summary, _occasion(status), now)


def _occasion(status: Mapping[str, Any]) -> str:
    """What tells two moments of a job's life apart, and is the same in every pass until the status is written."""
    restarts = status.get("restarts", {})
    numbers = (status["observedGeneration"], status.get("attempt"), *(restarts.get(each) for each in COUNTS))
    return " ".join(map(str, numbers))


def _summary(status: Mapping[str, Any]) -> str:
    messages = {each["type"]: each["message"] for each in status["conditions"]}
    if status["reason"] == "SpecInvalid":
        return f"Invalid: {messages['Invalid']}; nothing is made of it, and what runs goes on"
    return f"{status['state']}: {messages.get('Succeeded', '')}"


def event(job: Mapping[str, Any], kind: str, reason: str, message: str, occasion: str, now: datetime) -> Object:
    """A Kubernetes event about a job."""
    metadata = job["metadata"]
    digest = hashlib.sha256(f"{metadata['uid']} {occasion} {reason} {message}".encode()).hexdigest()[:16]
    moment = (now - timedelta(microseconds=now.microsecond)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": job["apiVersion"],
            "kind": job["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": kind,
        "reason": reason,
        "message": message[:1024],
        "source": {"component": "gmeta-operator"},
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
