"""Conversations as clients, through Twisted's own endpoints."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol

from tcplab.protocols import Conversation, ConversationFactory, Dialogue, Lines
from tests.support.socket_server import Serving


class Farewell(Conversation):
    """Finish speaking at once, and listen."""

    def connectionMade(self) -> None:
        self.write(b"hello\nlast without newline")
        self.transport.loseWriteConnection()

    def messageReceived(self, message: bytes) -> None:
        self.report(message)


class Listen(Dialogue):
    """Hear it all, and only then speak."""

    framing = Lines

    async def converse(self) -> list[bytes]:
        heard = [message async for message in self.messages()]
        self.write(b"x" * 3_000_000)
        return heard


class HalfCloseTests(Serving):
    """A server's half-close is heard by a client, and is not the end."""

    async def test_serverFinishesFirst(self) -> None:
        """All it said is heard, and what we say afterwards arrives."""
        told = await self.serve(ConversationFactory(Farewell))
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.host.port)
        heard = await (await connectProtocol(endpoint, Listen())).whenFinished()
        self.assertEqual(heard, [b"hello", b"last without newline"])
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.received), ("server", "fin", 3_000_000))
