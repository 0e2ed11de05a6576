"""A proxy between a process and a server: `deaf_proxy.py PORT HOST PORT`, to be run in the network of the process.

On SIGUSR1 the connections on which the client has sent nothing for a while go deaf: what the server sends is taken and
dropped from then on, with neither side told. TLS passes through it as it is.
"""

import asyncio
import signal
import sys
import time

QUIET_SECONDS = 20.0
"""A connection on which a client of the API server sends nothing for so long carries a watch."""


class Connection:
    """One client's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._client = reader, writer
        self._last_sent = time.monotonic()
        self._deaf = False

    def go_deaf_if_quiet(self) -> bool:
        """Whether it has been quiet, and is deaf now."""
        self._deaf = self._deaf or time.monotonic() - self._last_sent > QUIET_SECONDS
        return self._deaf

    async def relay(self, host: str, port: int) -> None:
        """Pass on what either side sends until one of them closes."""
        server = await asyncio.open_connection(host, port)
        ways = [asyncio.create_task(each) for each in (self._outwards(server[1]), self._inwards(server[0]))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for _, writer in (self._client, server):
            writer.close()

    async def _outwards(self, server: asyncio.StreamWriter) -> None:
        while data := await self._client[0].read(1 << 16):
            self._last_sent = time.monotonic()
            server.write(data)
            await server.drain()

    async def _inwards(self, server: asyncio.StreamReader) -> None:
        while data := await server.read(1 << 16):
            if not self._deaf:
                self._client[1].write(data)
                await self._client[1].drain()


async def serve(port: int, host: str, server_port: int) -> None:
    """Serve until killed; prints how many connections have gone deaf at each signal."""
    open_ones: set[Connection] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        open_ones.add(connection)
        try:
            await connection.relay(host, server_port)
        except OSError:
            writer.close()
        finally:
            open_ones.discard(connection)

    def deafen() -> None:
        print(sum([each.go_deaf_if_quiet() for each in open_ones]), flush=True)

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, deafen)
    server = await asyncio.start_server(accept, "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
