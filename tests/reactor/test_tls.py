"""Tests for `tcplab.reactor.tls`."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.protocols.wire import Echo as StockEcho
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.echo import Echo, LabConversation
from tcplab.protocols.factory import ConversationFactory
from tcplab.protocols.greeting import Ack
from tcplab.reactor.tls import HalfClosingTLS, TLSFactory, enableHalfClose
from tcplab.wire.framing import Lines
from tests.support.socket_server import Serving, Told, readAll


class Farewell(Conversation):
    """Send a long goodbye at the first message."""

    lingerTimeout = 1.0
    goodbye = b"goodbye" * 100_000

    def messageReceived(self, message: bytes) -> None:
        self.write(self.goodbye)
        self.hangUp()


class KeepLines(Conversation):
    framing = Lines

    def messageReceived(self, message: bytes) -> None:
        self.report(message)
        self.send(message.upper())


class TLSServing(Serving):
    """Serve over TLS; the clients are OpenSSL on blocking sockets."""

    async def serveTLS(self, factory: Any) -> Told:
        return await self.serve(factory, self.tlsEndpoint())

    def connectTLS(self) -> SSL.Connection:
        sock = self.connect()
        # A time limit would make the socket non-blocking to OpenSSL; the kernel's own does not.
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 10, 0))
        tls = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), sock)
        tls.set_connect_state()
        tls.do_handshake()
        return tls


def readToCloseNotify(tls: SSL.Connection) -> bytes:
    """Read until close_notify; anything else at the end is an error."""
    pieces = []
    while True:
        try:
            pieces.append(tls.recv(65536))
        except SSL.ZeroReturnError:
            return b"".join(pieces)


def exchange(tls: SSL.Connection, data: bytes) -> bytes:
    """Send, half-close, read to the end."""
    tls.sendall(data)  # no more than the kernel's buffers hold: nothing is read meanwhile
    tls.shutdown()
    return readToCloseNotify(tls)


def finish(tls: SSL.Connection) -> None:
    """Send a FIN without a close_notify."""
    tls.sock_shutdown(socket.SHUT_WR)


def plain(kind: type[Protocol]) -> Factory:
    """Make a factory of Twisted's own."""
    factory = Factory.forProtocol(kind)
    factory.noisy = False
    return factory


class HalfCloseTests(TLSServing):
    """close_notify ends one direction."""

    async def test_everythingIsAnswered(self) -> None:
        """All bytes before close_notify are answered, and the answer ends with close_notify."""
        told = await self.serveTLS(ConversationFactory(Echo))
        for number, size in enumerate([1, 7, 1000, 16_384, 60_000, 100_000], 1):
            data = bytes(range(251)) * (size // 251 + 1)
            answer = await self.talk(lambda data=data: exchange(self.connectTLS(), data))
            self.assertEqual(answer, data)
            self.assertEqual((await told.ending(number)).by, "peer")

    async def test_finishedInOneSegment(self) -> None:
        """Data, close_notify and FIN may arrive together."""
        await self.serveTLS(ConversationFactory(LabConversation))

        def client() -> bytes:
            sock = self.connect()
            tls = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
            tls.set_connect_state()
            for _ in range(10):
                try:
                    tls.do_handshake()
                    break
                except SSL.WantReadError:
                    sock.sendall(tls.bio_read(65536))
                    tls.bio_write(sock.recv(65536))
            tls.send(b"x" * 10_000)
            tls.shutdown()
            sock.sendall(tls.bio_read(65536))
            sock.shutdown(socket.SHUT_WR)
            tls.bio_write(readAll(sock))
            return readToCloseNotify(tls)

        self.assertEqual(await self.talk(client), b"You are connected!" + b"x" * 10_000)

    async def test_stockProtocol(self) -> None:
        """The answer of a protocol without half-close leaves before the connection is closed."""
        await self.serveTLS(plain(StockEcho))
        for size in (1, 1000, 60_000):
            answer = await self.talk(lambda size=size: exchange(self.connectTLS(), b"x" * size))
            self.assertEqual(len(answer), size)

    async def test_truncated(self) -> None:
        """After a FIN without close_notify an unfinished line is no message."""
        told = await self.serveTLS(ConversationFactory(KeepLines))

        def client() -> bytes:
            tls = self.connectTLS()
            tls.sendall(b"whole\npart")
            finish(tls)
            return readToCloseNotify(tls)

        self.assertEqual(await self.talk(client), b"WHOLE\n")
        ending = await told.ending()
        self.assertEqual(told.messages, [b"whole"])
        self.assertEqual((ending.by, ending.how), ("peer", "fin"))


@implementer(IHalfCloseableProtocol)
class Closes(Protocol):
    """Close at the first message; half-close is known."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"bye")
        self.transport.loseConnection()

    def readConnectionLost(self) -> None: ...

    def writeConnectionLost(self) -> None: ...


class CloseTests(TLSServing):
    """hangUp() over TLS, and loseConnection() of a protocol with half-close."""

    async def ending(
        self, factory: Factory, sent: int, *last: Callable[[SSL.Connection], None]
    ) -> tuple[bytes, Any]:
        """Send bytes, read the answer to its end, take the last steps, and return the ending."""
        told = await self.serveTLS(factory)

        def client() -> bytes:
            self.kept = tls = self.connectTLS()
            tls.sendall(b"x" * sent)
            answer = readToCloseNotify(tls)
            for step in last:
                step(tls)
            return answer

        answer = await self.talk(client)
        ending = await told.ending()
        return answer, (ending.by, ending.how, ending.why)

    async def test_endings(self) -> None:
        """The peer reads every byte and close_notify; then it answers, closes, or does nothing."""
        talks = lambda tls: tls.sendall(b"still talking")  # noqa: E731
        patient = {"lingerTimeout": 30.0}
        for factory, sent, steps, said, how, why in (
            (
                ConversationFactory(Farewell, **patient),
                50_000,
                (talks, SSL.Connection.shutdown, finish),
                *(Farewell.goodbye, "fin", None),
            ),
            # Many close after our close_notify without one of their own: that is well.
            (ConversationFactory(Ack, **patient), 1, (finish,), b"You are connected!", "fin", None),
            # loseConnection() ends both directions, with the peer's close_notify or with its FIN.
            (plain(Closes), 1, (SSL.Connection.shutdown,), b"bye", "fin", None),
            (plain(Closes), 1, (finish,), b"bye", "fin", None),
            # One that does nothing is reset at the linger deadline.
            (ConversationFactory(Farewell), 1, (), Farewell.goodbye, "reset", "linger-timeout"),
        ):
            ended = await self.ending(factory, sent, *steps)
            self.assertEqual(ended, (said, ("server", how, why)))


class HandshakeTests(TLSServing):
    """No connection is reported before its handshake."""

    async def test_greetingWaits(self) -> None:
        """The connection is reported, and greeted, once the handshake is complete."""
        told = await self.serveTLS(ConversationFactory(LabConversation))

        def client() -> bytes:
            tls = self.connectTLS()
            answer = tls.recv(100)
            tls.shutdown()
            finish(tls)
            return answer

        self.assertEqual(await self.talk(client), b"You are connected!")
        await told.ending()
        self.assertEqual([each.prefix for each in told.opened], ["test,1,127.0.0.1"])

    async def test_none(self) -> None:
        """A peer without TLS, or one that closes at once, gets no byte of the application."""
        for data, why, detail in (
            (b"GET / HTTP/1.0\r\n\r\n", "handshake", "http request"),
            (b"", "probe", ""),
        ):
            told = await self.serveTLS(ConversationFactory(LabConversation))

            sock = self.client()
            sock.sendall(data)
            if not data:
                sock.close()
            self.assertNotIn(b"connected", await self.ended(sock) if data else b"")
            ending = await told.ending()
            self.assertEqual((ending.why, ending.detail, told.opened), (why, detail, []))


class FactoryTests(SynchronousTestCase):
    def test_halfClosing(self) -> None:
        """Every TLS layer of a factory can half-close, and no other is changed."""
        plain = Factory()
        tls = TLSMemoryBIOFactory(CertificateOptions(), False, plain)
        self.assertTrue(enableHalfClose(tls))
        self.assertIs(tls.protocol, HalfClosingTLS)
        for factory in (plain, WrappingFactory(plain)):
            self.assertFalse(enableHalfClose(factory))
        self.assertIs(TLSFactory(CertificateOptions(), False, plain).protocol, HalfClosingTLS)
