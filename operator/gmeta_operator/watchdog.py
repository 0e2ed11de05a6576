"""Notices a watch that is silently dead: what the API server has and the watch has not told of for a minute.

A quiet watch cannot be told from a dead one by waiting, so what has been heard is compared with a list. Names and
versions are listed only, not whole objects.
"""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Mapping
from typing import NoReturn, Protocol

from gmeta_api.objects import JOB_LABEL
from gmeta_api.spec import KIND
from gmeta_operator.client import ApiError, Version
from gmeta_operator.store import Resource, uid

CHECK_SECONDS = 120.0
GRACE_SECONDS = 60.0
"""An event may be that late."""

SELECTORS = {KIND: "", "Pod": JOB_LABEL}
"""What is watched of each kind."""

log = logging.getLogger(__name__)


Versions = Mapping[str, Version]
"""By uid."""


class Lists(Protocol):
    """The request for a list."""

    async def list_versions(self, kind: str, namespace: str | None, selector: str) -> Versions:
        """The versions of all objects of a kind, in a namespace or everywhere."""


class Watchdog:
    """Compares what the watches have told with what there is.

    Args:
        lists: what there is.
        namespaces: those that are watched, each by streams of its own; none: all, by one stream for each kind.
    """

    def __init__(self, lists: Lists, namespaces: tuple[str, ...]) -> None:
        self._lists = lists
        self._namespaces = namespaces
        self._heard: dict[str, int] = {}
        self._events: Counter[tuple[str, str | None]] = Counter()
        self._dead: dict[tuple[str, str | None], str] = {}

    @property
    def trouble(self) -> str | None:
        """Which watch is dead, and how that shows; None as far as is known."""
        return next(iter(self._dead.values()), None)

    def hear(self, kind: str, event: str | None, thing: Resource) -> None:
        """A watch tells of an object, so it is not dead, or not any more."""
        stream = (kind, thing["metadata"]["namespace"] if self._namespaces else None)
        version = sys.maxsize if event == "DELETED" else int(thing["metadata"]["resourceVersion"])
        self._heard[uid(thing)] = max(version, self._heard.get(uid(thing), 0))
        self._events[stream] += 1
        self._dead.pop(stream, None)

    async def run(self) -> NoReturn:
        """Check for ever."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await self.check()
            except ApiError as error:
                log.warning("the watches could not be checked: %s", error)

    async def check(self) -> None:
        """Compare once; a stream that is behind has some time to catch up.

        Raises:
            ApiError: a list was refused or not answered, which says nothing about the watches.
        """
        streams = [(kind, namespace) for kind in SELECTORS for namespace in self._namespaces or (None,)]
        before = Counter(self._events)
        listed = {stream: await self._list(*stream) for stream in streams}
        behind = {stream: late for stream in streams if (late := self._unheard(listed[stream]))}
        self._forget_all_but({own for versions in listed.values() for own in versions})
        if behind:
            await asyncio.sleep(GRACE_SECONDS)
        self._dead = {}
        for stream, late in behind.items():
            there = await self._list(*stream)
            missed = {own: version for own, version in self._unheard(late).items() if own in there}
            if missed and self._events[stream] == before[stream]:
                self._dead[stream] = words = _words(*stream, next(iter(missed.values())).name)
                log.error("%s; the liveness probe fails until it tells of anything", words)

    async def _list(self, kind: str, namespace: str | None) -> Versions:
        return await self._lists.list_versions(kind, namespace, SELECTORS[kind])

    def _unheard(self, listed: Versions) -> Versions:
        return {own: found for own, found in listed.items() if self._heard.get(own, 0) < found.version}

    def _forget_all_but(self, there: set[str]) -> None:
        """What was deleted before the list; what was made since is listed the next time."""
        gone = [own for own, version in self._heard.items() if version == sys.maxsize and own not in there]
        for own in gone:
            del self._heard[own]


def _words(kind: str, namespace: str | None, name: str) -> str:
    where = f" in {namespace}" if namespace else ""
    return f"the watch of {kind}s{where} is dead: it tells nothing, for {GRACE_SECONDS:.0f} s not even of {name}"
