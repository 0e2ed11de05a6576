"""Nodes that a pod rather does not go to."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from gmeta_api.objects.names import Object

WEIGHT = 100
"""The highest that there is; a pod goes to such a node all the same where there is no other."""


def away_from(nodes: Sequence[str], spec: Mapping[str, Any]) -> Object:
    """The `affinity` of a pod's spec with a preference against nodes; nothing where there are none."""
    if not nodes:
        return {}
    affinity: Object = copy.deepcopy(spec.get("affinity") or {})
    of_nodes = affinity.setdefault("nodeAffinity", {})
    preferred = of_nodes.setdefault("preferredDuringSchedulingIgnoredDuringExecution", [])
    # By name: a node's host name may be another one. `matchFields` takes one name each.
    fields = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in nodes]
    preferred.append({"weight": WEIGHT, "preference": {"matchFields": fields}})
    return {"affinity": affinity}
