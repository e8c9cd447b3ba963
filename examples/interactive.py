"""
The interactive client: what you type is sent, what comes is shown, and neither waits for the other.

The end of what you type (^D) is a half-close: the server can still answer, and all of it is shown.
Start an echo server, then this from another terminal::

    $ python echo.py
    $ python interactive.py tcp:localhost:8888
"""

import sys

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.internet.task import react
from zope.interface import implementer

from tcplab.protocols import Conversation


class Server(Conversation):
    def messageReceived(self, message):
        self.user.transport.write(message)

    def connectionLost(self, reason):
        self.user.transport.loseConnection()  # when all has been shown


@implementer(IHalfCloseableProtocol)
class User(Protocol):
    def connectionMade(self):
        # Whoever is slow stops the other: a long file can be piped through.
        self.server.transport.registerProducer(self.transport, True)
        self.transport.registerProducer(self.server.transport, True)

    def dataReceived(self, data):
        self.server.write(data)

    def readConnectionLost(self):
        self.server.transport.unregisterProducer()
        self.server.transport.loseWriteConnection()

    def writeConnectionLost(self):
        self.server.abort()  # there is nobody to show it to

    def connectionLost(self, reason):
        self.gone.callback(None)


async def main(reactor, where="tcp:localhost:8888"):
    user = User()
    user.gone = Deferred()
    user.server = await connectProtocol(clientFromString(reactor, where), Server())
    user.server.user = user
    StandardIO(user, reactor=reactor)
    await user.gone


if __name__ == "__main__":
    react(main, sys.argv[1:])
