"""A job and its pods as the API server has them. Any field may be missing: another version may have written them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gmeta_api.objects import ATTEMPT_LABEL, INCARNATION_LABEL, INDEX_LABEL, ROLE_LABEL
from gmeta_kubectl.kubectl import Object

ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Job:
    """A job."""

    resource: Object

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.resource["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.resource["metadata"].get("namespace", "default"))

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its spec."""
        return part(self.resource, "spec")

    @property
    def status(self) -> Mapping[str, Any]:
        """Its status."""
        return part(self.resource, "status")

    @property
    def state(self) -> str | None:
        """The job in one word; None before the operator has seen it."""
        return self.status.get("state")

    @property
    def reason(self) -> str | None:
        """Cause of the state."""
        return self.status.get("reason")

    @property
    def ended(self) -> bool:
        """Whether it has ended for good."""
        return self.state in ENDED

    @property
    def conditions(self) -> list[Mapping[str, Any]]:
        """Its conditions."""
        return list(self.status.get("conditions", ()))

    @property
    def sentence(self) -> str:
        """What the state is about, in the operator's words."""
        kind = "Invalid" if self.reason == "SpecInvalid" else "Succeeded"
        return next((each.get("message", "") for each in self.conditions if each.get("type") == kind), "")

    @property
    def title(self) -> str:
        """State and reason."""
        return "not seen yet" if self.state is None else f"{self.state} ({self.reason or 'no reason given'})"


@dataclass(frozen=True)
class Pod:
    """A pod of a job."""

    resource: Object

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.resource["metadata"]["name"])

    @property
    def role(self) -> str:
        """Its role: prepare, coordinator or worker."""
        return self._label(ROLE_LABEL)

    @property
    def index(self) -> int:
        """Its index among its like."""
        return int(self._label(INDEX_LABEL) or 0)

    @property
    def number(self) -> tuple[int, int]:
        """Attempt and incarnation: of two pods of a place the later one has the higher number."""
        return int(self._label(ATTEMPT_LABEL) or 0), int(self._label(INCARNATION_LABEL) or 0)

    @property
    def node(self) -> str | None:
        """The node that it is on."""
        return part(self.resource, "spec").get("nodeName")

    @property
    def created(self) -> str | None:
        """When it was made."""
        created: str | None = self.resource["metadata"].get("creationTimestamp")
        return created

    @property
    def phase(self) -> str:
        """Its phase, as `kubectl get pods` sums it up."""
        if self.leaving and not self.ended:
            return "Terminating"
        return str(part(self.resource, "status").get("phase", "Pending"))

    @property
    def leaving(self) -> bool:
        """Whether it is being deleted."""
        return "deletionTimestamp" in self.resource["metadata"]

    @property
    def ended(self) -> bool:
        """Whether its container has ended for good."""
        return part(self.resource, "status").get("phase") in ENDED

    @property
    def ready(self) -> bool:
        """Whether it does its work."""
        return bool(self._container.get("ready")) and not self.ended

    @property
    def waiting(self) -> Mapping[str, Any]:
        """Reason and message of why its container does not run yet."""
        return part(part(self._container, "state"), "waiting")

    @property
    def terminated(self) -> Mapping[str, Any]:
        """Exit code, reason and message of its container's end."""
        return part(part(self._container, "state"), "terminated")

    @property
    def _container(self) -> Mapping[str, Any]:
        return next(iter(part(self.resource, "status").get("containerStatuses", ())), {})

    def _label(self, name: str) -> str:
        return str(part(self.resource["metadata"], "labels").get(name, ""))


def part(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A group of an object; empty where it is missing or null."""
    return parent.get(name) or {}


def newest(pods: Iterable[Pod]) -> list[Pod]:
    """The newest pod of each place, workers last, in the order of their indices."""
    ordered = sorted(pods, key=lambda pod: pod.number)
    found = {(pod.role, pod.index): pod for pod in ordered}
    return sorted(found.values(), key=lambda pod: (pod.role == "worker", pod.role, pod.index))
