"""What is kept in memory of an object: a small part of what the API server sends.

All that the watches tell of a thousand jobs with five pods each would take twice the memory of the operator itself. And
a parsed text has new keys for each object; here all share them.
"""

import sys
from collections.abc import Mapping
from typing import Any

Resource = Mapping[str, Any]


def job_essence(job: Resource) -> Resource:
    """A job without the bookkeeping of server-side apply."""
    metadata = {name: value for name, value in job["metadata"].items() if name != "managedFields"}
    essence: Resource = _with_shared_keys({**job, "metadata": metadata})
    return essence


def pod_essence(pod: Resource) -> Resource:
    """What is read of a pod: who it is, where it is, how it is."""
    metadata, spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    own = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "creationTimestamp": metadata.get("creationTimestamp"),
        "deletionTimestamp": metadata.get("deletionTimestamp"),
        "labels": _with_shared_keys(metadata["labels"]),
        "annotations": _with_shared_keys(metadata.get("annotations", {})),
        "ownerReferences": [_owner(each) for each in metadata.get("ownerReferences", ())],
    }
    place = {
        "nodeName": spec.get("nodeName"),
        "schedulerName": spec.get("schedulerName"),
        "schedulingGates": spec.get("schedulingGates"),
    }
    condition = {
        "phase": status.get("phase"),
        "reason": status.get("reason"),
        "message": status.get("message"),
        "podIP": status.get("podIP"),
        "conditions": [_condition(each) for each in status.get("conditions", ())],
        "containerStatuses": [_container(each) for each in status.get("containerStatuses", ())],
    }
    return {"metadata": _present(own), "spec": _present(place), "status": _present(condition)}


def _owner(reference: Resource) -> Resource:
    return {"uid": reference["uid"], "controller": reference.get("controller", False)}


def _condition(condition: Resource) -> Resource:
    return _present(
        {
            "type": condition["type"],
            "status": condition["status"],
            "reason": condition.get("reason"),
            "message": condition.get("message"),
            "lastTransitionTime": condition.get("lastTransitionTime"),
        }
    )


def _container(status: Resource) -> Resource:
    return {"ready": status.get("ready", False), "state": _with_shared_keys(status.get("state", {}))}


def _present(values: dict[str, Any]) -> Resource:
    return {name: value for name, value in values.items() if value is not None}


def _with_shared_keys(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    match value:
        case Mapping():
            return {sys.intern(name): _with_shared_keys(inner) for name, inner in value.items()}
        case list():
            return [_with_shared_keys(item) for item in value]
    return value
