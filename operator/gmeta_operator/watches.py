"""The watches: kopf keeps the streams alive, and each event only feeds the store and the queue."""

import asyncio
from typing import Any

import kopf

from gmeta_api.crd import PLURAL
from gmeta_api.objects import JOB_LABEL
from gmeta_api.spec import GROUP, KIND, VERSION
from gmeta_operator.metrics import OperatorMetrics
from gmeta_operator.settings import Settings
from gmeta_operator.store import Store
from gmeta_operator.watchdog import Watchdog
from gmeta_operator.work_queue import WorkQueue

SERVER_SECONDS = 300
CLIENT_SECONDS = 310


def watch(store: Store, queue: WorkQueue, metrics: OperatorMetrics, watchdog: Watchdog) -> kopf.OperatorRegistry:
    """The handlers. Raw events only: anything that tracks changes would write annotations or finalizers."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def _login(**_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401  # kopf's keywords
        return login()

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def _job(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401  # kopf's keywords
        metrics.heard(PLURAL)
        watchdog.hear(KIND, event["type"], event["object"])
        queue.add(store.hear_job(event["type"], event["object"]))

    @kopf.on.event("", "v1", "pods", labels={JOB_LABEL: kopf.PRESENT}, registry=registry)
    async def _pod(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401  # kopf's keywords
        metrics.heard("pods")
        watchdog.hear("Pod", event["type"], event["object"])
        queue.add(store.hear_pod(event["type"], event["object"]))

    return registry


def login() -> kopf.ConnectionInfo:
    """Address and credentials: a service account's in a pod, else those of $KUBECONFIG.

    Raises:
        kopf.LoginError: there are neither.
    """
    settings = kopf.OperatorSettings()
    connection = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(settings=settings)
    if connection is None:
        raise kopf.LoginError("no service account is mounted and KUBECONFIG is not set")
    return connection


async def run_watches(registry: kopf.OperatorRegistry, settings: Settings, ready: asyncio.Event) -> None:
    """Keep the watches alive until a signal ends them."""
    await kopf.operator(
        registry=registry,
        settings=kopf_settings(settings),
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        ready_flag=ready,
    )


class NoDiffs(kopf.DiffBaseStorage):
    """Remembers nothing: no handler asks what has changed, and to find out kopf copies every object of every event."""

    def build(self, **_: object) -> kopf.BodyEssence:
        """Nothing of an object."""
        return kopf.BodyEssence()

    def fetch(self, **_: object) -> None:
        """Nothing."""

    def store(self, **_: object) -> None:
        """Nothing."""


def kopf_settings(settings: Settings) -> kopf.OperatorSettings:
    """No peering, no posted events, streams that notice their own death, pods selected by the server."""
    result = kopf.OperatorSettings()
    result.peering.standalone = True
    result.posting.enabled = False
    result.persistence.finalizer = f"{GROUP}/finalizer"
    result.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    result.persistence.diffbase_storage = NoDiffs()
    result.watching.server_timeout = SERVER_SECONDS
    result.watching.client_timeout = CLIENT_SECONDS
    result.watching.label_selectors["pods"] = JOB_LABEL
    result.scanning.disabled = bool(settings.namespaces)
    return result
