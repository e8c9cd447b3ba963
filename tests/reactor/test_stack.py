"""Tests for `tcplab.reactor.stack`."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import Any

from OpenSSL import SSL
from twisted.internet.endpoints import _WrappingProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.stdio import StandardIO
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock, StringTransport
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
    removeEndpointWrapper,
    setReason,
    socketTransport,
    topProtocol,
    unacknowledgedBytes,
)
from tcplab.reactor.tls import TLSFactory
from tcplab.testing import Peer, connected
from tests.support.certificates import localhostPEM

PLAIN = Factory.forProtocol(Protocol)
OURS = TLSFactory(CertificateOptions(), False, PLAIN)
STOCK = TLSMemoryBIOFactory(CertificateOptions(), False, PLAIN)


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


class StackTests(SynchronousTestCase):
    """Stacks of a real transport in memory, TLS and wrappers, in any order."""

    def setUp(self) -> None:
        self.peer: Peer[Protocol] = connected(Protocol())
        self.bottom: Any = self.peer.transport

    def stacks(self, bottom: Any) -> list[tuple[Any, bool, bool]]:
        """Each with whether it can half-close, and whether it is TLS."""
        return [
            (bottom, True, False),
            (wrapped(bottom), True, False),
            (wrapped(wrapped(bottom)), True, False),
            (behind(OURS, bottom), True, True),
            (behind(STOCK, bottom), False, True),
            (wrapped(behind(STOCK, bottom)), False, True),
            (wrapped(behind(OURS, bottom)), True, True),
            (behind(OURS, wrapped(bottom)), True, True),
            (behind(OURS, behind(STOCK, bottom)), True, True),
        ]

    def test_down(self) -> None:
        """All that is known of the socket's transport is known from any height."""
        self.peer.reading, self.peer.window = False, 0
        for number, (transport, halves, isSecure) in enumerate(self.stacks(self.bottom)):
            self.assertIs(bottomTransport(transport), self.bottom)
            self.assertIs(socketTransport(transport), self.bottom)
            self.assertIs(reactorOf(transport), self.peer.clock)
            self.assertEqual((canHalfClose(transport), isTLS(transport)), (halves, isSecure))
            self.bottom.reason = None
            setReason(transport, str(number))
            self.assertEqual(self.bottom.reason, str(number))
            before = bufferedBytes(self.bottom)
            self.bottom.write(b"x" * 7)
            self.assertEqual(bufferedBytes(transport), (before or 0) + 7)

    def test_standardIO(self) -> None:
        """Its reactor is that of its reader."""
        ends = os.pipe()
        self.addCleanup(lambda: [os.close(end) for end in ends])
        reactor = MemoryReactorClock()
        transport = StandardIO(Protocol(), *ends, reactor=reactor)
        self.assertIs(reactorOf(wrapped(transport)), reactor)

    def test_foreign(self) -> None:
        """A transport of another kind tells nothing, and is told nothing."""
        bottom = StringTransport()
        for transport in (bottom, wrapped(bottom)):
            self.assertIs(bottomTransport(transport), bottom)
            self.assertIsNone(socketTransport(transport))
            self.assertIsNone(bufferedBytes(transport))
            self.assertEqual(unacknowledgedBytes(transport), 0)
            error = self.assertRaises(RuntimeError, reactorOf, transport)
            self.assertIn("StringTransport names no reactor: give the protocol a clock", str(error))
            self.assertFalse(canHalfClose(transport) or isTLS(transport) or isReset(transport))
            setReason(transport, "fault")
        self.assertIsNone(topProtocol(bottom))

    def test_bufferedBytes(self) -> None:
        """What the kernel has taken is not counted."""
        self.peer.reading, self.peer.window = False, 1000
        for data, left in ((b"x" * 600, 0), (b"y" * 600, 200), (b"z" * 600, 800)):
            self.bottom.write(data)
            self.peer.clock.advance(0)
            self.assertEqual(
                (bufferedBytes(self.bottom), unacknowledgedBytes(self.bottom)), (left,) * 2
            )
        self.peer.resume()
        self.assertEqual((bufferedBytes(self.bottom), len(self.peer.value())), (0, 1800))

    def test_up(self) -> None:
        """The protocol above all wrappers, from any transport of the stack."""
        plain, wrapping = self.peer, connected(WrappingFactory(WrappingFactory(PLAIN)))
        tls = connected(OURS)
        top = tls.protocol.wrappedProtocol
        self.assertIs(topProtocol(plain.transport), plain.protocol)
        self.assertIs(
            topProtocol(wrapping.transport), wrapping.protocol.wrappedProtocol.wrappedProtocol
        )
        self.assertIs(topProtocol(tls.transport), top)
        self.assertIs(topProtocol(tls.protocol), top)

    def test_endpointWrapper(self) -> None:
        """The wrapper of an endpoint is removed from in front of its own protocol only."""
        protocol, other = Protocol(), Protocol()
        wrapper = _WrappingProtocol(None, protocol)
        self.bottom.protocol = wrapper
        removeEndpointWrapper(self.bottom, other)
        self.assertIs(self.bottom.protocol, wrapper)
        removeEndpointWrapper(self.bottom, protocol)
        self.assertIs(self.bottom.protocol, protocol)
        removeEndpointWrapper(StringTransport(), protocol)

    def test_stockStartTLS(self) -> None:
        """Twisted's TLS has no half-close; a peer without close_notify is aborted in the end."""
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
        self.assertEqual((canHalfClose(peer.transport), isTLS(peer.transport)), (False, True))
        client.send(b"and now?")
        peer.write(client.bio_read(65536))
        client.bio_write(peer.value())
        self.assertEqual(client.recv(100), b"goodbye")
        peer.clock.pump([1.0] * 10)
        self.assertFalse(peer.connected)


class KernelTests(SynchronousTestCase):
    """What only a real socket can tell."""

    def setUp(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.client = socket.create_connection(listener.getsockname())
            self.server, _ = listener.accept()
        self.addCleanup(self.client.close)
        self.addCleanup(self.server.close)
        self.transport = Connection(self.server, Protocol(), connected(Protocol()).clock)

    def test_reset(self) -> None:
        """A reset is seen without reading; what came before it can still be read."""
        self.assertFalse(isReset(self.transport))
        self.client.sendall(b"unread")
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()
        self.assertTrue(isReset(self.transport))
        self.assertTrue(isReset(self.transport))
        self.assertEqual(self.server.recv(100), b"unread")

    def test_endWithoutReset(self) -> None:
        """The end of both directions is no reset."""
        self.client.shutdown(socket.SHUT_WR)
        self.server.shutdown(socket.SHUT_WR)
        self.assertFalse(isReset(self.transport))

    def test_unacknowledged(self) -> None:
        """What a peer's kernel refuses stays in ours, and is counted."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += self.server.send(b"x" * 65536)
        self.assertEqual(bufferedBytes(self.transport), 0)
        self.assertGreater(unacknowledgedBytes(self.transport), 0)
        self.assertLessEqual(unacknowledgedBytes(self.transport), sent)
