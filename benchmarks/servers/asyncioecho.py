"""A bare Protocol that echoes, on a loop of asyncio: asyncioecho.py asyncio|uvloop [GREETING]"""

from __future__ import annotations

import asyncio
import sys


async def main(greeting: str = "") -> None:
    """Serve on a port that the system chooses, which is printed."""

    class Echo(asyncio.Protocol):
        transport: asyncio.Transport

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self.transport = transport
            if greeting:
                transport.write(greeting.encode())

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if sys.argv[1] == "uvloop":
    from uvloop import run
else:
    from asyncio import run

run(main(*sys.argv[2:]))
