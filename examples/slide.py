"""
The slides' echo client: send something, read until all of it has come back, print it.

One ``recv`` may return less than what was sent, or more. A dialogue asks for what it needs. Start
the echo server, then this from another terminal::

    $ python echo.py
    $ python slide.py tcp:localhost:8888
"""

import sys

from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.task import react

from tcplab.protocols import Dialogue


class Slide(Dialogue[bytes]):
    async def converse(self) -> bytes:
        self.send(b"Hello, world!")
        return await self.receiveExactly(13, timeout=5)


async def main(reactor: object, where: str = "tcp:localhost:8888") -> None:
    slide: Slide = await connectProtocol(clientFromString(reactor, where), Slide())
    print(await slide.result())


if __name__ == "__main__":
    react(main, sys.argv[1:])
