"""
The interactive client: what you type is sent, what is received is shown, and neither waits.

The end of what you type (^D) is a half-close. The server can still answer, and all of it is shown.
Start an echo server, then this from another terminal::

    $ python echo.py
    $ python interactive.py tcp:localhost:8888
"""

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import react
from zope.interface import implementer

from tcplab.protocols import Conversation


class Server(Conversation):
    user: Any

    def messageReceived(self, message: bytes) -> None:
        self.user.transport.write(message)

    def connectionLost(self, reason: object = connectionDone) -> None:
        self.user.transport.loseConnection()  # when all has been shown


@implementer(IHalfCloseableProtocol)
class User(Protocol):
    transport: Any
    server: Server
    gone: Deferred[None]

    def connectionMade(self) -> None:
        # The slower side stops the other: a long file can be piped through.
        self.server.transport.registerProducer(self.transport, True)
        self.transport.registerProducer(self.server.transport, True)

    def dataReceived(self, data: bytes) -> None:
        self.server.write(data)

    def readConnectionLost(self) -> None:
        self.server.transport.unregisterProducer()
        self.server.transport.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        self.server.abort()  # the output is closed

    def connectionLost(self, reason: object = connectionDone) -> None:
        self.gone.callback(None)


async def main(reactor: Any, where: str = "tcp:localhost:8888") -> None:
    user: Any = User()
    user.gone = Deferred()
    user.server = await connectProtocol(clientFromString(reactor, where), Server())
    user.server.user = user
    StandardIO(user, reactor=reactor)
    await user.gone


if __name__ == "__main__":
    react(main, sys.argv[1:])
