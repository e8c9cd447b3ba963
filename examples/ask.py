"""
A dialogue on the client's side: hear a question, answer it, print what comes then.

Start a server that asks, then this from another terminal::

    $ twistd -n tcplab --behaviour recipe.Recipe
    $ python ask.py Ada tcp:localhost:50544
"""

import sys

from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.task import react

from tcplab.protocols import Dialogue, Lines


class Ask(Dialogue):
    framing = Lines

    def __init__(self, name):
        self.name = name

    async def converse(self):
        print((await self.receive(timeout=5)).decode())
        self.send(self.name)
        return await self.receive(timeout=5)


async def main(reactor, name="Ada", where="tcp:localhost:50544"):
    ask = await connectProtocol(clientFromString(reactor, where), Ask(name.encode()))
    print((await ask.whenFinished()).decode())


if __name__ == "__main__":
    react(main, sys.argv[1:])
