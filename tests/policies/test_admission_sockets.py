"""Tests for `tcplab.policies.admission` on real sockets."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from typing import Any

from OpenSSL.SSL import Connection as TLS
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import Logger

from tcplab.listener.listener import Listener
from tcplab.listener.refusal import Refusal
from tcplab.policies import admission as admissionmodule
from tcplab.policies.admission import Admission
from tests.support.socket_server import Serving, readAll

net: Any = reactor

TCP = "tcp:0:interface=127.0.0.1"


class Greets(Protocol):
    """Send a greeting, and hand itself to the test."""

    def connectionMade(self) -> None:
        self.transport.write(b"hello")  # type: ignore[union-attr]
        self.factory.queue.put(self)  # type: ignore[union-attr]


class Admitting(Serving):
    async def admit(self, endpoint: str = TCP, **limits: Any) -> Admission:
        self.logged = EventLoggingObserver()
        self.patch(admissionmodule, "log", Logger(observer=self.logged))
        factory = Factory.forProtocol(Greets)
        factory.noisy = False
        factory.queue = self.queue = DeferredQueue()
        self.told = await self.serve(factory, endpoint)
        admission = Admission(**limits)
        admission.watch(self.listener)
        self.addCleanup(self._nothingLeft, admission)
        self.addCleanup(self._emptied, self.listener)
        return admission

    async def _emptied(self, listener: Listener) -> None:
        # Cleanups run in reverse order: the server is still there.
        listener.abort()
        await listener.whenEmpty()

    async def _nothingLeft(self, admission: Admission) -> None:
        await self.until(lambda: not [each for each in net.getReaders() if type(each) is Refusal])
        left = (admission.connections, admission.handshakes, admission._peers)
        admission.stop()
        self.assertEqual(left, (0, 0, {}))

    async def assertOpen(self, *clients: socket.socket) -> None:
        """Check which clients are neither served nor ended, after some turns."""
        await self.turns(10)
        self.assertEqual([waits(each) for each in clients], [True] * len(clients))

    def greeted(self) -> bytes:
        with contextlib.closing(self.connect()) as sock:
            return readAll(sock)

    def shaken(self) -> Deferred[bytes]:
        """Complete a handshake, and return the greeting."""
        return self.talk(self._shake, self.client())

    def _shake(self, sock: socket.socket) -> bytes:
        sock.settimeout(None)
        tls = TLS(CertificateOptions().getContext(), sock)
        tls.set_connect_state()
        tls.do_handshake()
        return tls.recv(100)


def waits(sock: socket.socket) -> bool:
    """Tell whether a client has received nothing, not even an end."""
    return not select.select([sock], [], [], 0)[0]


class BacklogTests(Admitting):
    """At the limit clients wait in the listen queue."""

    async def test_oneByOne(self) -> None:
        """Each is served when another leaves."""
        admission = await self.admit(maxConnections=2)
        clients = [self.client() for _ in range(6)]
        for number in range(5):
            await self.queue.get()
            if number:
                await self.assertOpen(*clients[number + 1 :])
                self.assertEqual(admission.connections, 2)
                self.assertEqual(await self.heard(clients[number - 1]), b"hello")
                clients[number - 1].close()
        await self.queue.get()
        self.assertEqual(await self.heard(clients[5]), b"hello")

    async def test_batch(self) -> None:
        """A batch of accepts ends at the limit, not above it."""
        await self.admit(f"{TCP}:backlog=300", maxConnections=10)
        most = 0
        for _ in [self.client() for _ in range(200)]:
            protocol = await self.queue.get()
            await self.turns(2)
            most = max(most, len(self.listener.connections))
            protocol.transport.loseConnection()
        self.assertEqual((most, len(self.told.opened)), (10, 200))

    async def test_severalPorts(self) -> None:
        """Clients of another port of the listener, and of another listener, wait, too."""
        admission = await self.admit(maxConnections=1)
        factory = self.port.factory
        port = await serverFromString(net, TCP).listen(factory)
        self.addCleanup(port.stopListening)
        self.listener.addPort(port)
        first = self.client()
        await self.queue.get()
        self.host = port.getHost()
        second = self.client()
        await self.serve(factory)
        admission.watch(self.listener)
        self.addCleanup(self._emptied, self.listener)
        third = self.client()
        await self.assertOpen(second, third)
        first.close()
        await self.queue.get()
        await self.turns()
        self.assertEqual([waits(second), waits(third)].count(True), 1)
        self.assertEqual(admission.connections, 1)
        for sock in (second, third):
            sock.close()
        await self.queue.get()

    async def test_portClosed(self) -> None:
        """A port that was closed at the limit does not accept again."""
        admission = await self.admit(maxConnections=1)
        sock = self.client()
        await self.queue.get()
        await self.port.stopListening()
        sock.close()
        await self.told.ending()
        await self.turns()
        self.assertEqual((admission.connections, net.getReaders().count(self.port)), (0, 0))


class BusyTests(Admitting):
    """A peer with too many connections reads why it is refused."""

    async def test_readWhileSending(self) -> None:
        """Always, also by a client that does not stop to send."""
        admission = await self.admit(maxPerPeer=1)
        self.client()
        await self.queue.get()
        heard = [await self.talk(self.chatter) for _ in range(200)]
        self.assertEqual(heard.count(b"busy\r\n"), 200, set(heard))
        self.assertEqual((admission.connections, len(self.told.opened)), (1, 1))

    def chatter(self) -> bytes:
        """Send until the text is there and beyond, and only then read, as most clients do."""
        try:
            with contextlib.closing(self.connect()) as sock:
                while waits(sock):
                    sock.sendall(b"x" * 4096)
                for _ in range(3):  # a reset would make these fail
                    sock.sendall(b"x" * 4096)
                return readAll(sock)
        except OSError as e:
            return repr(e).encode()

    async def test_peers(self) -> None:
        """An IPv4 client of an IPv6 socket is the same peer; a closed connection does not count."""
        await self.admit(r"tcp6:0:interface=\:\:", maxPerPeer=1)
        first = self.client()
        await self.queue.get()
        self.assertEqual(await self.talk(self.greeted), b"busy\r\n")
        with socket.create_connection(("::1", self.host.port), timeout=10) as other:
            self.assertEqual(await self.heard(other), b"hello")
            first.close()
            await self.told.ending()
        self.assertEqual(await self.heard(self.client()), b"hello")

    async def test_unix(self) -> None:
        """Unix sockets have no peers to count."""
        path = self.unixPath()
        await self.admit(f"unix:{path}", maxPerPeer=1)
        for _ in range(3):
            sock = socket.socket(socket.AF_UNIX)
            self.addCleanup(sock.close)
            sock.connect(path)
            self.assertEqual(await self.heard(sock), b"hello")

    async def test_tls(self) -> None:
        """No text is sent over TLS."""
        await self.admit(self.tlsEndpoint(), maxPerPeer=1)
        self.client()
        await self.queue.get()
        self.assertNotIn(b"busy", await self.talk(self.greeted))

    async def test_descriptors(self) -> None:
        """The descriptors of refused connections are closed, and a line a second counts them."""
        admission = await self.admit(maxPerPeer=1)
        self.client()
        await self.queue.get()
        open_ = []
        for number in (10, 100):
            for _ in range(number):
                await self.talk(self.greeted)
            await self.turns(20)
            open_.append(len(os.listdir("/proc/self/fd")))
        self.assertEqual(open_[0], open_[1])
        admission.stop()
        counts = [event["count"] for event in self.logged]
        self.assertEqual(sum(counts), 110)
        self.assertLess(len(counts), 20)


class HandshakeTests(Admitting):
    """Unfinished handshakes do not delay others for long."""

    async def handshaking(self, number: int, **limits: int) -> Admission:
        """Connect clients that send nothing, as many as the limit allows."""
        admission = await self.admit(self.tlsEndpoint(), **limits)
        self.silent = [self.client() for _ in range(number)]
        for _ in self.silent:
            await self.queue.get()
        self.assertEqual(admission.handshakes, number)
        return admission

    async def test_evicted(self) -> None:
        """The oldest one is reset for a new connection."""
        self.patch(admissionmodule, "HANDSHAKE_GRACE", 0.05)
        admission = await self.handshaking(3, maxHandshakes=3)
        self.assertEqual(await self.shaken(), b"hello")
        self.assertEqual((await self.told.ending()).why, "handshake-timeout")
        self.assertRaises(ConnectionResetError, self.silent[0].recv, 1)
        await self.assertOpen(*self.silent[1:])
        self.assertEqual((admission.handshakes, admission.connections), (2, 3))

    async def test_grace(self) -> None:
        """While all are young a client waits until one of them ends."""
        self.patch(admissionmodule, "HANDSHAKE_GRACE", 1000.0)
        for limits, number in (({"maxHandshakes": 3}, 3), ({"maxConnections": 1}, 1)):
            admission = await self.handshaking(number, **limits)
            waiting = self.shaken()
            await self.assertOpen(*self.silent)
            self.assertEqual(admission.connections, number)
            self.silent[0].close()
            self.assertEqual(await waiting, b"hello")

    async def test_established(self) -> None:
        """Such connections do not count as handshakes."""
        admission = await self.handshaking(1, maxHandshakes=1)
        self.silent[0].close()
        for number in range(10):
            self.assertEqual((await self.shaken(), admission.connections), (b"hello", number + 1))
        self.assertEqual(admission.handshakes, 0)
