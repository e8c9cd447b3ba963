"""Tests for `tcplab.reactor.transports`."""

from __future__ import annotations

import errno
import gc
import os
import socket
import weakref
from threading import Event
from types import SimpleNamespace
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.endpoints import clientFromString, quoteStringArgument
from twisted.internet.error import FileDescriptorOverrun
from twisted.internet.interfaces import IFileDescriptorReceiver
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.listener import acceptor
from tcplab.reactor import eager, transports
from tcplab.reactor.coalescing import CoalescingTransport
from tests.support.socket_server import Serving, Told


@implementer(IFileDescriptorReceiver)
class Passes(Protocol):
    """Send every file descriptor back in the middle of the answer."""

    descriptor = -1

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.transport.write(b"got it, ")  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        transport.write(b"here")
        transport.sendFileDescriptor(self.descriptor)
        transport.write(b" it is")
        transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        os.close(self.descriptor)


class Unready(Protocol):
    """Send a file descriptor without a byte."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.sendFileDescriptor(0)  # type: ignore[union-attr]

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.reason = reason  # type: ignore[union-attr]


class Answers(Protocol):
    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data.upper())
        self.transport.write(b"!")


class Fails(Answers):
    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        raise ZeroDivisionError


class TalkTests(Serving):
    """On real Unix sockets."""

    async def listen(self, kind: Any) -> Told:
        self.factory: Any = Factory.forProtocol(kind)
        self.factory.noisy = False
        return await self.serve(self.factory, f"unix:{self.unixPath()}")

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.settimeout(10)
        sock.connect(self.host.name)
        return sock

    async def test_refusedDescriptors(self) -> None:
        """By the kernel, if no protocol of the port takes any; bytes are answered all the same."""
        await self.listen(Answers)
        with self.connect() as sock:
            try:
                socket.send_fds(sock, [b"x"], [0])  # before Linux 6.16
            except PermissionError:
                sock.sendall(b"x")
            self.assertEqual(await self.talk(sock.recv, 9), b"X!")

    async def test_unwantedDescriptors(self) -> None:
        """They are closed, in a thread; one line has their number."""
        self.patch(acceptor, "_refuseDescriptors", lambda port: None)
        closer = transports.DescriptorCloser()
        self.patch(transports, "CLOSER", closer)
        await self.listen(Answers)
        here, there = os.pipe()
        self.addCleanup(os.close, here)
        with self.connect() as sock:
            for _ in range(3):
                socket.send_fds(sock, [b"x"], [there] * 2)
                self.assertEqual(await self.talk(sock.recv, 9), b"X!")
            os.close(there)
            self.assertEqual(await self.talk(os.read, here, 1), b"")  # none is open

    async def test_descriptors(self) -> None:
        """File descriptors arrive with the bytes among which they were sent, each once."""
        told = await self.listen(Passes)
        here, there = os.pipe()
        self.addCleanup(os.close, here)

        def client() -> tuple[bytes, list[int]]:
            sock = self.connect()
            socket.send_fds(sock, [b"take it"], [there])
            said, descriptors = b"", []
            while True:
                data, fds, _, _ = socket.recv_fds(sock, 100, 5)
                descriptors += fds
                if not data:
                    return said, descriptors
                said += data

        said, descriptors = await self.talk(client)
        os.close(there)
        ending = await told.ending()
        self.assertEqual(said, b"got it, here it is")
        self.assertEqual((ending.received, ending.sent), (7, 18))
        (passed,) = descriptors
        os.write(passed, b"the same pipe")
        os.close(passed)
        self.assertEqual(os.read(here, 100), b"the same pipe")
        self.assertEqual(os.read(here, 100), b"")  # all others are closed

    async def test_descriptorAlone(self) -> None:
        """A file descriptor without a byte ends the connection, as in Twisted."""
        told = await self.listen(Unready)
        await self.talk(self.connect().sendall, b"x")
        await told.ending()
        self.factory.reason.trap(FileDescriptorOverrun)

    async def test_endings(self) -> None:
        """Closing with unread bytes resets; an exception drops what was written before it."""
        for kind, heard, ended in (
            (Answers, b"X", ("peer", "reset", None, errno.ECONNRESET, 2)),
            (Fails, b"", ("server", "fin", "error", None, 0)),
        ):
            told = await self.listen(kind)
            sock = self.connect()
            sock.sendall(b"x")
            self.assertEqual(await self.talk(sock.recv, 1), heard)
            sock.close()
            ending = await told.ending()
            self.assertEqual((*ending[:4], ending.sent), ended)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class KindTests(SynchronousTestCase):
    """Each is Twisted's own transport with coalescing; Twisted's own suites test the rest."""

    def test_kinds(self) -> None:
        """Coalescing comes first."""
        for kind, stock in (
            (transports.EagerTCPServer, tcp.Server),
            (transports.EagerTCPClient, tcp.Client),
            (transports.EagerUnixServer, unix.Server),
            (transports.EagerUnixClient, unix.Client),
        ):
            order = kind.__mro__
            self.assertLess(order.index(CoalescingTransport), order.index(stock))
            self.assertIs(kind.write, CoalescingTransport.write)


class Goes(Protocol):
    """Close at once."""

    def connectionMade(self) -> None:
        self.transport.loseConnection()  # type: ignore[union-attr]


class Stops(Protocol):
    """Stop the reactor at the end of the connection."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.transport.reactor.stop()  # type: ignore[union-attr]


class PartingTests(SynchronousTestCase):
    """A connection that has ended leaves nothing to the garbage collector."""

    def setUp(self) -> None:
        self.reactor = eager.EagerReactor()
        self.addCleanup(self.reactor.disconnectAll)
        self.serving = Factory.forProtocol(Goes)
        self.serving.noisy = False
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)

    def run_(self) -> None:
        self.reactor.run(installSignalHandlers=False)

    def held(self, where: str) -> Any:
        """Connect to an endpoint, and return a weak reference to the transport."""
        found: list[Any] = []
        connecting = clientFromString(self.reactor, where).connect(Factory.forProtocol(Stops))
        connecting.addCallback(lambda protocol: found.append(weakref.ref(protocol.transport)))
        self.run_()
        return found[0]

    def test_tcp(self) -> None:
        port = self.reactor.listenTCP(0, self.serving, interface="127.0.0.1")
        self.assertIsNone(self.held(f"tcp:127.0.0.1:{port.getHost().port}")())

    def test_unix(self) -> None:
        path = self.mktemp()
        self.reactor.listenUNIX(path, self.serving)
        self.assertIsNone(self.held(f"unix:{quoteStringArgument(path)}")())

    def test_failed(self) -> None:
        """After a failure, the connector of an endpoint drops the factory."""
        port = self.reactor.listenTCP(0, self.serving, interface="127.0.0.1")
        where = f"tcp:127.0.0.1:{port.getHost().port}"
        port.stopListening()
        factory = Factory.forProtocol(Stops)
        found = weakref.ref(factory)
        connecting = clientFromString(self.reactor, where).connect(factory)
        connecting.addErrback(lambda _: self.reactor.stop())
        self.run_()
        del factory, connecting
        self.assertIsNone(found())

    def test_again(self) -> None:
        """A factory with its own connector may connect again."""

        class Again(ClientFactory):
            noisy = False
            lost = 0

            def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
                self.lost += 1
                if self.lost == 1:
                    connector.connect()
                else:
                    connector.reactor.callLater(0, connector.connect)

            def buildProtocol(self, addr: Any) -> Protocol:
                return Protocol() if self.lost < 2 else Stops()

        port = self.reactor.listenTCP(0, self.serving, interface="127.0.0.1")
        factory = Again()
        self.reactor.connectTCP("127.0.0.1", port.getHost().port, factory)
        self.run_()
        self.assertEqual(factory.lost, 3)


NONE = 2**20  # a descriptor that no process has


class CloserTests(SynchronousTestCase):
    def test_log(self) -> None:
        """One line a minute, with the number of all since the last."""
        lines: list[int] = []
        log = SimpleNamespace(warn=lambda *_, closed, **__: lines.append(closed))
        self.patch(transports, "_log", log)
        closer = transports.DescriptorCloser()
        for now in (0, 1, 59, 60, 61, 200):
            self.assertTrue(closer.close([os.dup(0), os.dup(0)], now))
        self.assertEqual(lines, [2, 6, 4])

    def test_tooMany(self) -> None:
        """While one blocks, the others are bounded."""
        blocked = Event()
        self.addCleanup(blocked.set)
        self.patch(transports.os, "close", lambda _: blocked.wait())
        closer = transports.DescriptorCloser()
        self.assertTrue(closer.close([NONE] * 200, 0))
        self.assertFalse(closer.close([NONE] * 200, 0))
