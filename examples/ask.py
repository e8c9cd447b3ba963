"""
A dialogue on the client's side: receive a question, answer it, print what is received then.

Start a server that asks, then this from another terminal::

    $ tcplab serve --behaviour recipe.Recipe
    $ python ask.py Ada tcp:localhost:50544
"""

import sys

from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.task import react

from tcplab.protocols import Dialogue, Lines


class Ask(Dialogue[bytes]):
    framing = Lines

    def __init__(self, name: bytes) -> None:
        self.name = name

    async def converse(self) -> bytes:
        print((await self.receive(timeout=5)).decode())
        self.send(self.name)
        return await self.receive(timeout=5)


async def main(reactor: object, name: str = "Ada", where: str = "tcp:localhost:50544") -> None:
    ask: Ask = await connectProtocol(clientFromString(reactor, where), Ask(name.encode()))
    print((await ask.result()).decode())


if __name__ == "__main__":
    react(main, sys.argv[1:])
