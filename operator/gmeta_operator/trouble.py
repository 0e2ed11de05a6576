"""Requests of a pass that were refused: what the status says about them."""

from dataclasses import dataclass

from gmeta_api.objects import Object
from gmeta_api.objects.pod_group import API_VERSIONS, KIND
from gmeta_operator.client import ApiError

CREATE_FAILED = "CreateFailed"
SCHEDULER_NOT_INSTALLED = "SchedulerNotInstalled"

INSTALLED_AS = {"volcano": "Volcano", "coscheduling": "the coscheduling plugin of the Kubernetes scheduler-plugins"}


@dataclass(frozen=True)
class Trouble:
    """Why the children of a job could not be made just now.

    Attributes:
        reason: CamelCase word.
        message: a sentence.
        summary: the same for one who knows nothing of the request.
    """

    reason: str
    message: str
    summary: str


class SchedulerNotInstalledError(ApiError):
    """The cluster does not know the pod groups of the gang scheduler that a manifest names."""


def explained(error: ApiError, thing: Object) -> ApiError:
    """The refusal of an object, in the words of one who can do something about it."""
    if thing["kind"] != KIND or error.status not in (403, 404):
        return error
    scheduler = next(name for name, version in API_VERSIONS.items() if version == thing["apiVersion"])
    definition = f"podgroups.{thing['apiVersion'].partition('/')[0]}"
    if error.status == 403:
        hint = f"allow it by the chart's value gangSchedulers: [{scheduler}]"
        return ApiError(error.status, f"the operator may not write {definition}; {hint} ({error})")
    return SchedulerNotInstalledError(
        error.status,
        f"the cluster has no CustomResourceDefinition {definition}: install {INSTALLED_AS[scheduler]}, or make the job"
        " again with another spec.scheduling.gang.scheduler; no pod is made until then",
    )


def trouble_of(error: ApiError) -> Trouble:
    """What the status says about a refused request."""
    message = str(error)
    if isinstance(error, SchedulerNotInstalledError):
        return Trouble(SCHEDULER_NOT_INSTALLED, message, message)
    return Trouble(CREATE_FAILED, message, f"a request was refused and is made again: {message}")
