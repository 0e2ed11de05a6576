"""`workers.podTemplate`: the fields of a pod that a manifest may set beyond the typed ones."""

from collections.abc import Iterator, Mapping
from typing import Any

from gmeta_api.errors import Problem
from gmeta_api.objects.names import Object
from gmeta_api.spec import GROUP

PATH = "spec.workers.podTemplate"
SPEC_FIELDS = frozenset(
    {
        "affinity",
        "dnsConfig",
        "runtimeClassName",
        "securityContext",
        "terminationGracePeriodSeconds",
        "topologySpreadConstraints",
    }
)
SECURITY_FIELDS = frozenset({"fsGroup", "fsGroupChangePolicy", "runAsGroup", "runAsUser", "supplementalGroups"})
"""Identities only: what confines the pods is not a manifest's to change."""


def overlay_problems(overlay: Mapping[str, Any]) -> Iterator[Problem]:
    """Everything in an overlay that is not among the allowed fields."""
    yield from _unlisted(overlay, {"metadata", "spec"}, PATH)
    metadata, spec = _mapping(overlay, "metadata"), _mapping(overlay, "spec")
    yield from _unlisted(metadata, {"annotations", "labels"}, f"{PATH}.metadata")
    for kind in ("annotations", "labels"):
        for key in _mapping(metadata, kind):
            if key.split("/")[0] in (GROUP, "app.kubernetes.io"):
                yield Problem(f"{PATH}.metadata.{kind}", f"'{key}' is set by G-Meta; choose another prefix")
    yield from _unlisted(spec, SPEC_FIELDS, f"{PATH}.spec")
    security = _mapping(spec, "securityContext")
    yield from _unlisted(security, SECURITY_FIELDS, f"{PATH}.spec.securityContext")
    if security.get("runAsUser") == 0:
        yield Problem(f"{PATH}.spec.securityContext.runAsUser", "expected a user other than root; received 0")


def with_overlay(pod: Object, overlay: Mapping[str, Any]) -> Object:
    """The pod with an overlay that has no problems. Typed fields and what G-Meta enforces are set after it."""
    metadata, spec = _mapping(overlay, "metadata"), _mapping(overlay, "spec")
    merged = {
        name: {**pod["metadata"].get(name, {}), **_mapping(metadata, name)}
        for name in ("annotations", "labels")
        if name in pod["metadata"] or name in metadata
    }
    security = {"securityContext": {**pod["spec"].get("securityContext", {}), **_mapping(spec, "securityContext")}}
    return {**pod, "metadata": {**pod["metadata"], **merged}, "spec": {**pod["spec"], **spec, **security}}


def _mapping(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, Mapping) else {}


def _unlisted(given: Mapping[str, Any], allowed: frozenset[str] | set[str], path: str) -> Iterator[Problem]:
    for name in given:
        if name not in allowed:
            yield Problem(f"{path}.{name}", f"a manifest may not set this; allowed are {', '.join(sorted(allowed))}")
