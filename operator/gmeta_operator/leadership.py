"""Being the one operator that works: takes the Lease, renews it, and gives it back."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import NoReturn, Protocol, TypeVar

from gmeta_api.objects import Object
from gmeta_operator.client import ApiError
from gmeta_operator.leader_api import Fenced
from gmeta_operator.lease import (
    LEASE_SECONDS,
    RENEW_DEADLINE,
    RENEW_EVERY,
    RETRY_EVERY,
    Candidate,
    Lost,
    Take,
    leads,
    next_step,
    observed,
    read_lease,
    written,
)

REQUEST_SECONDS = 3.0

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)


class Leases(Protocol):
    """The requests for a Lease."""

    async def create(self, thing: Object) -> Object:
        """Create it; refused with 409 if it is there."""

    async def get_lease(self, namespace: str, name: str) -> Object | None:
        """Get it; None if there is none."""

    async def patch_lease(self, thing: Object) -> Object:
        """Merge changes into it; refused with 409 if it is not at the version named any more."""


class Leadership:
    """This operator's part in who leads.

    Args:
        leases: where the Lease is.
        namespace: of the Lease.
        name: of the Lease.
        me: the identity of this process, `<pod>/<random>`.
        clock: seconds that always go up.
    """

    def __init__(
        self, leases: Leases, namespace: str, name: str, me: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._leases = leases
        self._metadata = {"namespace": namespace, "name": name}
        self._clock = clock
        self._known = Candidate(me)
        self._looked = False
        self._foreign_epoch = 0

    @property
    def epoch(self) -> int:
        """How often the Lease has been taken, the last time by this operator."""
        return self._known.lease.transitions if self._known.lease else 0

    @property
    def leading(self) -> bool:
        """Whether this operator may write."""
        return leads(self._known, self._clock())

    def standing(self) -> tuple[bool, str]:
        """Whether this operator leads or could at any moment, and in words what it does."""
        if self.leading:
            return True, f"leading: epoch {self.epoch}"
        if not self._looked:
            return False, f"the Lease {self._metadata['namespace']}/{self._metadata['name']} has not been read yet"
        return True, f"standing by: {self._holder()} holds the lease"

    def assert_leads(self) -> None:
        """Raises Fenced: this operator may not write any more, such as after its process was stopped for a while."""
        if not self.leading:
            raise Fenced(f"the Lease was not renewed for {RENEW_DEADLINE:.0f} s")

    async def stand_by(self) -> None:
        """Wait until this operator leads."""
        while not self.leading:
            try:
                await self._look()
                if isinstance(step := next_step(self._known, self._clock()), Take):
                    await self._write(step.transitions)
                    log.info("leading: epoch %d", self.epoch)
                    return
            except ApiError as error:
                log.warning("the Lease: %s", error)
            await asyncio.sleep(RETRY_EVERY)

    async def keep(self) -> NoReturn:
        """Renew the Lease for ever.

        Raises:
            Fenced: it is lost.
        """
        while True:
            await asyncio.sleep(RENEW_EVERY)
            assert self._known.renewed is not None
            try:
                async with asyncio.timeout(self._known.renewed + RENEW_DEADLINE - self._clock()):
                    await self._renew()
            except TimeoutError:
                self.assert_leads()

    async def confirm(self, epoch: int) -> None:
        """Find out what a higher epoch than the own one means: an object hints at it, the Lease says who leads.

        Raises:
            Fenced: another operator holds the Lease.
        """
        if epoch <= self._foreign_epoch:
            return
        await self._look()
        if isinstance(step := next_step(self._known, self._clock()), Lost):
            raise Fenced(f"an object of leader epoch {epoch} was read: {step.why}")
        self._foreign_epoch = epoch
        log.warning("an object has leader epoch %d; this operator leads and has %d: it goes on", epoch, self.epoch)

    async def release(self) -> None:
        """Let another operator lead at once; the own work has to be over."""
        if self.leading:
            self._known = replace(self._known, renewed=None)
            with suppress(ApiError):
                await self._look()  # a renewal may have been cut off before its answer came
                if self._holder() == self._known.me:
                    await _answer(self._leases.patch_lease(self._patch({"holderIdentity": ""})))

    async def _renew(self) -> None:
        while True:
            try:
                return await self._write(self.epoch)
            except ApiError as error:
                log.warning("the Lease was not renewed: %s", error)
            with suppress(ApiError):
                await self._look()
                if isinstance(step := next_step(self._known, self._clock()), Lost):
                    raise Fenced(step.why)
            await asyncio.sleep(RETRY_EVERY)

    async def _look(self) -> None:
        thing = await _answer(self._leases.get_lease(**self._metadata))
        self._looked = True
        self._known = observed(self._known, None if thing is None else read_lease(thing), self._clock())

    async def _write(self, transitions: int) -> None:
        sent = self._clock()
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        taken = {"acquireTime": now} if transitions != self.epoch else {}
        spec = {
            "holderIdentity": self._known.me,
            "leaseDurationSeconds": int(LEASE_SECONDS),
            "leaseTransitions": transitions,
            "renewTime": now,
            **taken,
        }
        write = self._leases.create if self._known.lease is None else self._leases.patch_lease
        self._known = written(self._known, read_lease(await _answer(write(self._patch(spec)))), sent)

    def _patch(self, spec: Object) -> Object:
        version = {"resourceVersion": self._known.lease.version} if self._known.lease else {}
        metadata = {**self._metadata, **version}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    def _holder(self) -> str:
        lease = self._known.lease
        return (lease.holder if lease is not None else "") or "nobody"


async def _answer(request: Awaitable[Answer]) -> Answer:
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            return await request
    except TimeoutError:
        raise ApiError(0, f"no answer within {REQUEST_SECONDS:.0f} s") from None
