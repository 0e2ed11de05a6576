"""Which pods a namespace's ResourceQuotas have room for. Pure: a function of the quotas and the pods."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gmeta_kubectl.jobs import part
from gmeta_kubectl.kubectl import Object
from gmeta_kubectl.quantity import parse, show

Usage = Mapping[str, Decimal]
"""Amounts by the resource that a quota names."""

COMPUTE = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
"""What a pod has to declare in a namespace whose quota bounds it."""


@dataclass(frozen=True)
class Refusal:
    """Why a quota refuses a pod."""

    quota: str
    cause: str


def usage(pod: Object) -> dict[str, Decimal]:
    """What a pod takes of a quota. A request that is not set is the limit, as the API server has it."""
    amounts = {"pods": Decimal(1), "count/pods": Decimal(1)}
    for container in pod["spec"]["containers"]:
        limits = part(part(container, "resources"), "limits")
        requests = {**limits, **part(part(container, "resources"), "requests")}
        for kind, group in (("limits", limits), ("requests", requests)):
            for name, amount in group.items():
                amounts[f"{kind}.{name}"] = amounts.get(f"{kind}.{name}", Decimal(0)) + parse(amount)
    return amounts | {name: amounts[f"requests.{name}"] for name in ("cpu", "memory") if f"requests.{name}" in amounts}


def free(quota: Object, own: Iterable[Object] = ()) -> dict[str, Decimal]:
    """What is left of a quota, the share of pods that are the job's own added back."""
    hard = part(part(quota, "status"), "hard") or part(part(quota, "spec"), "hard")
    used = part(part(quota, "status"), "used")
    left = {name: parse(amount) - parse(used.get(name, 0)) for name, amount in hard.items()}
    for pod in own:
        for name, amount in usage(pod).items():
            if name in left:
                left[name] += amount
    return left


def refusals(quota: Object, pods: Iterable[Object], own: Iterable[Object] = ()) -> list[Refusal]:
    """Why a quota refuses some of the pods, one item for each, where they are made in this order."""
    name, left = str(quota["metadata"]["name"]), free(quota, own)
    found = []
    for pod in pods:
        if not selects(quota, pod):
            continue
        taken = usage(pod)
        cause = next(_causes(left, taken), None)
        if cause is not None:
            found.append(Refusal(name, cause))
        else:
            left = {each: amount - taken.get(each, Decimal(0)) for each, amount in left.items()}
    return found


def selects(quota: Object, pod: Object) -> bool:
    """Whether a quota is about a pod: all of its scopes have to fit; one that is not known does not."""
    spec = part(quota, "spec")
    scopes = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes", ())]
    return all(_fits(each, pod) for each in (*scopes, *part(spec, "scopeSelector").get("matchExpressions", ())))


def _fits(scope: Mapping[str, Any], pod: Object) -> bool:
    ends = "activeDeadlineSeconds" in pod["spec"]
    counted = set(usage(pod)) - {"pods", "count/pods"}
    priority = pod["spec"].get("priorityClassName")
    named = {"In": priority in scope.get("values", ()), "NotIn": priority not in scope.get("values", ())}
    by_priority = named | {"Exists": priority is not None, "DoesNotExist": priority is None}
    match scope["scopeName"]:
        case "Terminating" | "NotTerminating" as name:
            return ends is (name == "Terminating")
        case "BestEffort" | "NotBestEffort" as name:
            return bool(counted) is (name == "NotBestEffort")
        case "PriorityClass":
            return by_priority[scope["operator"]]
    return False


def _causes(left: Usage, taken: Usage) -> Iterator[str]:
    for name, amount in left.items():
        if name in COMPUTE and name not in taken:
            yield f"a pod has to declare {name} there"
        elif taken.get(name, Decimal(0)) > amount:
            rest = show(name, max(amount, Decimal(0)))
            yield f"{name} of {show(name, taken[name])} a pod, and {rest} is left"
