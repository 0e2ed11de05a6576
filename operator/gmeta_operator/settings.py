"""What the operator is told by its environment."""

import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from gmeta_api.objects import PodDefaults


@dataclass(frozen=True)
class Settings:
    """The operator's settings.

    Attributes:
        pods: image of the jobs' pods, and when it is pulled.
        namespaces: namespaces whose jobs are served; none for all.
        own_namespace: namespace that the operator and its Lease are in, which the jobs' network policies let in.
        lease: name of the Lease that the operators of a cluster share; only its holder works.
        pod: name of the pod that the operator runs in; else a name that is no other operator's.
        monitoring_namespaces: namespaces that the jobs' network policies let in to the ports with metrics.
        probe_port: port of /healthz, /readyz and /metrics.
    """

    pods: PodDefaults
    namespaces: tuple[str, ...] = ()
    own_namespace: str = "default"
    lease: str = "gmeta-operator"
    pod: str = "operator"
    monitoring_namespaces: tuple[str, ...] = ()
    probe_port: int = 8080

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the GMETA_* variables.

        Raises:
            ValueError: a variable is missing or malformed; the message names it.
        """
        image = environment.get("GMETA_WORKER_IMAGE", "")
        if not image:
            raise ValueError("GMETA_WORKER_IMAGE: expected the default image of the jobs' pods; it is not set")
        port = environment.get("GMETA_PROBE_PORT", "8080")
        if not port.isdecimal():
            raise ValueError(f"GMETA_PROBE_PORT: expected a port number; received '{port}'")
        return cls(
            pods=PodDefaults(image, environment.get("GMETA_WORKER_IMAGE_PULL_POLICY") or None),
            namespaces=_names(environment.get("GMETA_NAMESPACES", "")),
            own_namespace=environment.get("GMETA_OPERATOR_NAMESPACE") or "default",
            lease=environment.get("GMETA_LEASE_NAME") or "gmeta-operator",
            pod=environment.get("GMETA_POD_NAME") or f"{socket.gethostname()}-{secrets.token_hex(4)}",
            monitoring_namespaces=_names(environment.get("GMETA_MONITORING_NAMESPACES", "")),
            probe_port=int(port),
        )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
