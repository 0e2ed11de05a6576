"""A proxy before the API server that keeps back what watches tell: `watch_proxy.py PORT SERVER CERTIFICATE KEY`.

On SIGUSR1 the watches that are open tell nothing more. On SIGUSR2 every watch, open or new, tells bookmarks only: to
its client it lives. Either prints how many are open. Everything else passes as it is.
"""

import asyncio
import json
import signal
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

OF_A_CONNECTION = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
"""Headers that are not passed on."""


@dataclass
class Watch:
    """A watch that is open, and what of it does not reach the client."""

    bookmarks_only: bool
    silent: bool = False

    def tells(self, line: bytes) -> bool:
        """Whether a line reaches the client."""
        return not self.silent and (not self.bookmarks_only or json.loads(line)["type"] == "BOOKMARK")


@dataclass
class Proxy:
    """Passes requests on to a server."""

    server: URL
    http: aiohttp.ClientSession
    watches: list[Watch] = field(default_factory=list)
    bookmarks_only: bool = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, and its answer back as it comes."""
        body = await request.read()
        url = self.server.with_path(request.raw_path.partition("?")[0], encoded=True).with_query(request.query)
        headers = passed_on(request.headers)
        async with self.http.request(request.method, url, headers=headers, data=body or None) as found:
            answer = web.StreamResponse(status=found.status, headers=passed_on(found.headers))
            await answer.prepare(request)
            if request.query.get("watch") == "true":
                await self._relay_watch(found, answer)
            else:
                await answer.write(await found.read())
            return answer

    async def _relay_watch(self, found: aiohttp.ClientResponse, answer: web.StreamResponse) -> None:
        watch = Watch(self.bookmarks_only)
        self.watches.append(watch)
        buffer = b""
        try:
            async for data in found.content.iter_any():
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    if watch.tells(line):
                        await answer.write(line + b"\n")
        except ConnectionResetError:
            pass  # the client has gone
        finally:
            self.watches.remove(watch)

    def silence(self) -> None:
        """The watches that are open tell nothing more."""
        for watch in self.watches:
            watch.silent = True
        print(len(self.watches), flush=True)

    def keep_bookmarks(self) -> None:
        """All watches tell bookmarks only."""
        self.bookmarks_only = True
        for watch in self.watches:
            watch.bookmarks_only = True
        print(len(self.watches), flush=True)


def passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that are not of the connection alone."""
    return {name: value for name, value in headers.items() if name.lower() not in OF_A_CONNECTION}


async def serve(port: int, server: str, certificate: str, key: str) -> None:
    """Serve until killed."""
    identity = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    identity.load_cert_chain(certificate, key)
    timeout, connector = aiohttp.ClientTimeout(total=None), aiohttp.TCPConnector(ssl=False, limit=0)
    async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout, connector=connector) as http:
        proxy = Proxy(URL(f"https://{server}"), http)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, proxy.silence)
        loop.add_signal_handler(signal.SIGUSR2, proxy.keep_bookmarks)
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=identity).start()
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), *sys.argv[2:]))
