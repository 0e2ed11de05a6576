"""What is kept in memory of an object: a small part of what the API server sends.

All that the watches tell of a thousand jobs with five pods each would take twice the memory of the operator itself. And
a parsed text has new keys and words for each object; here all share them.
"""

import sys
from collections.abc import Mapping
from typing import Any

Resource = Mapping[str, Any]


def job_essence(job: Resource) -> Resource:
    """A job without the bookkeeping of server-side apply."""
    metadata = {name: value for name, value in job["metadata"].items() if name != "managedFields"}
    essence: Resource = _shared({**job, "metadata": metadata})
    return essence


def pod_essence(pod: Resource) -> Resource:
    """What is read of a pod: who it is, where it is, how it is."""
    metadata, spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    own = {
        "name": metadata["name"],
        "namespace": _shared(metadata["namespace"]),
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "creationTimestamp": metadata.get("creationTimestamp"),
        "deletionTimestamp": metadata.get("deletionTimestamp"),
        "labels": _shared(metadata["labels"]),
        "annotations": _shared(metadata.get("annotations", {})),
        "ownerReferences": [_owner(each) for each in metadata.get("ownerReferences", ())],
    }
    place = {
        "nodeName": _shared(spec.get("nodeName")),
        "schedulerName": _shared(spec.get("schedulerName")),
        "schedulingGates": _shared(spec.get("schedulingGates")),
    }
    condition = {
        "phase": _shared(status.get("phase")),
        "reason": status.get("reason"),
        "message": status.get("message"),
        "podIP": status.get("podIP"),
        "conditions": [_condition(each) for each in status.get("conditions", ())],
        "containerStatuses": [_container(each) for each in status.get("containerStatuses", ())],
    }
    return {"metadata": _present(own), "spec": _present(place), "status": _present(condition)}


def _owner(reference: Resource) -> Resource:
    return {"uid": sys.intern(reference["uid"]), "controller": reference.get("controller", False)}


def _condition(condition: Resource) -> Resource:
    names = ("type", "status", "reason", "message", "lastTransitionTime")
    return {name: _shared(value) for name in names if (value := condition.get(name)) is not None}


def _container(status: Resource) -> Resource:
    return {"ready": status.get("ready", False), "state": _shared(status.get("state", {}))}


def _present(values: dict[str, Any]) -> Resource:
    return {name: value for name, value in values.items() if value is not None}


def _shared(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    match value:
        case Mapping():
            return {sys.intern(name): _shared(inner) for name, inner in value.items()}
        case list():
            return [_shared(item) for item in value]
        case str():
            return sys.intern(value)
    return value
