"""Tests for `tcplab.reactor.stack`."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

from OpenSSL import SSL
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.conversation import Conversation
from tcplab.reactor.stack import (
    bottomTransport,
    bufferedBytes,
    canHalfClose,
    isReset,
    isTLS,
    reactorOf,
    setReason,
    topProtocol,
)
from tcplab.reactor.tls import TLSFactory
from tcplab.testing import connected
from tests.support.certificates import localhostPEM

PLAIN = Factory.forProtocol(Protocol)
OURS = TLSFactory(CertificateOptions(), False, PLAIN)
STOCK = TLSMemoryBIOFactory(CertificateOptions(), False, PLAIN)


class BottomTransport(StringTransport):
    """A transport that has all that is asked of one, and remembers."""

    reactor = object()
    why: str | None = None
    dataBuffer = b"12345"
    offset = 2
    _tempDataLen = 10

    def because(self, why: str) -> None:
        self.why = why

    def loseWriteConnection(self) -> None: ...


class SwitchesToStockTLS(Conversation):
    """Switch to TLS in Twisted's own way, and hang up there."""

    def messageReceived(self, message: bytes) -> None:
        if message == b"STARTTLS":
            self.transport.startTLS(PrivateCertificate.loadPEM(localhostPEM()).options())
        else:
            self.write(b"goodbye")
            self.hangUp()


def wrapped(transport: Any) -> Any:
    """Put Twisted's own wrapper on a transport, and return what a protocol speaks through."""
    wrapper = ProtocolWrapper(WrappingFactory(PLAIN), Protocol())
    wrapper.makeConnection(transport)
    return wrapper


def behind(factory: Any, transport: Any) -> Any:
    """Put TLS on a transport, and return what a protocol speaks through."""
    tls = factory.buildProtocol(None)
    tls.makeConnection(transport)
    return tls


class LookingDownTests(SynchronousTestCase):
    """Through TLS and wrappers, in any order, to the transport with the socket."""

    def setUp(self) -> None:
        self.bottom = BottomTransport()

    def stacks(self) -> list[Any]:
        """Every way in which a protocol may be above the bottom."""
        return [
            self.bottom,
            wrapped(self.bottom),
            wrapped(wrapped(self.bottom)),
            behind(OURS, self.bottom),
            behind(STOCK, self.bottom),
            wrapped(behind(OURS, self.bottom)),
            behind(OURS, wrapped(self.bottom)),
            behind(OURS, behind(STOCK, self.bottom)),
        ]

    def test_lowest(self) -> None:
        """However deep it lies."""
        for transport in self.stacks():
            self.assertIs(bottomTransport(transport), self.bottom)

    def test_because(self) -> None:
        """The cause reaches whoever remembers it."""
        for number, transport in enumerate(self.stacks()):
            setReason(transport, str(number))
            self.assertEqual(self.bottom.why, str(number))

    def test_becauseToNobody(self) -> None:
        """A transport that remembers nothing is told nothing."""
        setReason(StringTransport(), "fault")
        setReason(wrapped(StringTransport()), "fault")

    def test_unsent(self) -> None:
        """What waits is what is left of the first buffer, and the second."""
        for transport in self.stacks():
            self.assertEqual(bufferedBytes(transport), 13)

    def test_unsentWhereItCannotBeTold(self) -> None:
        """A transport that does not show its buffers may hold anything."""
        self.assertIsNone(bufferedBytes(StringTransport()))

    def test_unsentOfARealTransport(self) -> None:
        """It is the real buffers that are counted: what the kernel took does not wait."""
        peer = connected(Protocol())
        peer.reading, peer.window = False, 1000
        peer.transport.write(b"x" * 600)
        peer.clock.advance(0)
        self.assertEqual(bufferedBytes(peer.transport), 0)
        peer.transport.write(b"y" * 600)
        peer.transport.write(b"z" * 600)
        peer.clock.advance(0)
        self.assertEqual(bufferedBytes(peer.transport), 800)
        peer.resume()
        self.assertEqual(bufferedBytes(peer.transport), 0)
        self.assertEqual(len(peer.value()), 1800)

    def test_clock(self) -> None:
        """The reactor that runs the transport."""
        for transport in self.stacks():
            self.assertIs(reactorOf(transport), self.bottom.reactor)
        peer = connected(Protocol())
        self.assertIs(reactorOf(peer.transport), peer.clock)

    def test_clockOfATransportWithoutAReactor(self) -> None:
        """The global reactor's time is all there is then."""
        from twisted.internet import reactor

        self.assertIs(reactorOf(StringTransport()), reactor)
        self.assertIs(reactorOf(wrapped(StringTransport())), reactor)


class SpeakerTests(SynchronousTestCase):
    """From the transport up to the protocol that speaks."""

    def test_plain(self) -> None:
        """The transport's own protocol."""
        peer = connected(Protocol())
        self.assertIs(topProtocol(peer.transport), peer.protocol)

    def test_aboveWrappers(self) -> None:
        """The innermost of what is wrapped."""
        peer = connected(WrappingFactory(WrappingFactory(PLAIN)))
        self.assertIs(topProtocol(peer.transport), peer.protocol.wrappedProtocol.wrappedProtocol)

    def test_aboveTLS(self) -> None:
        """Seen from below and from TLS itself."""
        peer = connected(OURS)
        self.assertIs(topProtocol(peer.transport), peer.protocol.wrappedProtocol)
        self.assertIs(topProtocol(peer.protocol), peer.protocol.wrappedProtocol)

    def test_unknown(self) -> None:
        """A transport that does not say."""
        self.assertIsNone(topProtocol(StringTransport()))


class HalfClosingTests(SynchronousTestCase):
    """Whether to finish one direction only, or both."""

    def test_plainTransport(self) -> None:
        """A socket's FIN is a half-close."""
        self.assertTrue(canHalfClose(BottomTransport()))
        self.assertTrue(canHalfClose(connected(Protocol()).transport))

    def test_throughAWrapper(self) -> None:
        """A wrapper passes the call on."""
        self.assertTrue(canHalfClose(wrapped(BottomTransport())))

    def test_ourTLS(self) -> None:
        """Its close_notify is a half-close too."""
        self.assertTrue(canHalfClose(behind(OURS, BottomTransport())))
        self.assertTrue(canHalfClose(wrapped(behind(OURS, BottomTransport()))))

    def test_stockTLS(self) -> None:
        """Twisted's own would have the socket finish with its own words still unsent."""
        self.assertFalse(canHalfClose(behind(STOCK, BottomTransport())))
        self.assertFalse(canHalfClose(wrapped(behind(STOCK, BottomTransport()))))

    def test_stockTLSBeneathOurs(self) -> None:
        """What decides is the TLS that is spoken through."""
        self.assertTrue(canHalfClose(behind(OURS, behind(STOCK, BottomTransport()))))

    def test_stockStartTLS(self) -> None:
        """A plain transport that was switched to Twisted's own TLS is as bad."""
        peer = connected(Protocol())
        peer.transport.startTLS(CertificateOptions())
        self.assertFalse(canHalfClose(peer.transport))

    def test_transportWithout(self) -> None:
        """One that has no such method cannot."""
        self.assertFalse(canHalfClose(StringTransport()))
        self.assertFalse(canHalfClose(wrapped(StringTransport())))


class SecuredTests(SynchronousTestCase):
    """Whether there is TLS anywhere beneath."""

    def test_clear(self) -> None:
        """There is none."""
        self.assertFalse(isTLS(BottomTransport()))
        self.assertFalse(isTLS(wrapped(BottomTransport())))
        self.assertFalse(isTLS(connected(Protocol()).transport))

    def test_tls(self) -> None:
        """Ours, Twisted's own, and through wrappers on either side."""
        for factory in (OURS, STOCK):
            self.assertTrue(isTLS(behind(factory, BottomTransport())))
            self.assertTrue(isTLS(wrapped(behind(factory, BottomTransport()))))
            self.assertTrue(isTLS(behind(factory, wrapped(BottomTransport()))))

    def test_stockStartTLS(self) -> None:
        """A plain transport that was switched to Twisted's own TLS has it within."""
        peer = connected(Protocol())
        peer.transport.startTLS(CertificateOptions())
        self.assertTrue(isTLS(peer.transport))

    def test_stockStartTLSAndAMutePeer(self) -> None:
        """A peer that never answers its close_notify is not waited for for ever."""
        peer = connected(SwitchesToStockTLS())
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        client.set_connect_state()
        peer.write(b"STARTTLS")
        for _ in range(3):
            with contextlib.suppress(SSL.WantReadError):
                client.do_handshake()
            peer.write(client.bio_read(65536))
            client.bio_write(peer.value())
            peer.clear()
            if client.get_peer_finished() is not None:
                break
        client.send(b"and now?")
        peer.write(client.bio_read(65536))
        client.bio_write(peer.value())
        self.assertEqual(client.recv(100), b"goodbye")
        peer.clock.pump([1.0] * 10)
        self.assertFalse(peer.connected)


class WasResetTests(SynchronousTestCase):
    def test_aResetIsSeenWithoutReading(self) -> None:
        class Owner:
            def __init__(self, sock: socket.socket) -> None:
                self.socket = sock

        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
        with server:
            self.assertFalse(isReset(Owner(server)))
            client.sendall(b"unread")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            self.assertTrue(isReset(Owner(server)))
            self.assertTrue(isReset(Owner(server)))
            self.assertEqual(server.recv(100), b"unread")

    def test_anEndIsNone(self) -> None:
        first, second = socket.socketpair()
        with first, second:
            second.shutdown(socket.SHUT_WR)
            first.shutdown(socket.SHUT_WR)
            self.assertFalse(isReset(ProtocolWrapper(Factory(), Protocol())))
            wrapped = BottomTransport()
            wrapped.socket = first  # type: ignore[attr-defined]
            self.assertFalse(isReset(wrapped))
