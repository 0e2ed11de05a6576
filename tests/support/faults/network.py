"""Messages that are lost on the way there or back, come twice, or come long after."""

from contextlib import suppress

import httpx

from faults.clock import Process
from faults.coordinator import Coordinator, CoordinatorCrashed
from faults.world import World


class Network(httpx.BaseTransport):
    """Carries the requests of one process of an attempt."""

    def __init__(self, world: World, process: Process, attempt: int) -> None:
        self._world = world
        self._process = process
        self._attempt = attempt

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        world, path, body = self._world, request.url.path, request.read()
        world.pause(0.01)
        if world.chance(world.loss):
            world.saw("lost request")
            world.pause(world.random.uniform(0.5, 3.0))
            raise httpx.ReadTimeout("lost on the way there", request=request)
        status, content = self._deliver(path, body, request)
        if world.chance(world.loss):
            world.saw("repeated message")
            status, content = self._deliver(path, body, request)
        if world.chance(world.loss):
            world.saw("late message")
            world.spawn(Process("network"), lambda: self._deliver_late(path, body, request))
        if world.chance(world.loss):
            world.saw("lost reply")
            world.pause(world.random.uniform(0.5, 3.0))
            raise httpx.ReadTimeout("lost on the way back", request=request)
        return httpx.Response(status, content=content, request=request)

    def _deliver_late(self, path: str, body: bytes, request: httpx.Request) -> None:
        self._world.pause(self._world.random.uniform(1.0, 60.0))
        with suppress(httpx.TransportError):
            self._deliver(path, body, request)

    def _deliver(self, path: str, body: bytes, request: httpx.Request) -> tuple[int, str]:
        coordinator = self._coordinator()
        if coordinator is None or self._process in self._world.cut_off:
            raise httpx.ConnectError("Connection refused", request=request)
        try:
            return coordinator.answer(path, body)
        except CoordinatorCrashed:
            raise httpx.RemoteProtocolError("Server disconnected", request=request) from None

    def _coordinator(self) -> Coordinator | None:
        """The current coordinator; what belongs to an old attempt reaches its own for as long as that lives."""
        alive = [each for each in self._world.coordinators if each.running]
        attempts = (self._world.attempt,) if self._world.locks else (self._attempt, self._world.attempt)
        return next((each for attempt in attempts for each in alive if each.attempt == attempt), None)
