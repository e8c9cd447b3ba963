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
from tests.support.certificates import localhostFile
from tests.support.socket_server import Serving, readAll

net: Any = reactor


class Greets(Protocol):
    """Say hello, and hand itself to the test."""

    def connectionMade(self) -> None:
        self.transport.write(b"hello")  # type: ignore[union-attr]
        self.factory.queue.put(self)  # type: ignore[union-attr]


class Hall(Factory):
    """Build them, and know how many there were at once."""

    noisy = False
    protocol = Greets

    def __init__(self) -> None:
        self.queue: DeferredQueue[Any] = DeferredQueue()


class Admitting(Serving):
    """Serve on real sockets, with limits."""

    async def admit(self, endpoint: str = "tcp:0:interface=127.0.0.1", **limits: Any) -> Admission:
        self.logged = EventLoggingObserver()
        self.patch(admissionmodule, "log", Logger(observer=self.logged))
        self.told = await self.serve(hall := Hall(), endpoint)
        self.queue = hall.queue
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
        while any(isinstance(reader, Refusal) for reader in net.getReaders()):
            await self.turns()  # until the peers have ended that were refused
        left = (admission.connections, admission.handshakes, admission._peers)
        admission.stop()
        self.assertEqual(left, (0, 0, {}))

    def client(self) -> socket.socket:
        sock = self.connect()
        self.addCleanup(sock.close)
        return sock

    def heard(self, sock: socket.socket) -> Deferred[bytes]:
        return self.talk(sock.recv, 100)

    def turns(self, number: int = 10) -> Deferred[None]:
        """Let the reactor go round."""
        done: Deferred[None] = Deferred()

        def turn(left: int) -> None:
            if left:
                net.callLater(0, turn, left - 1)
            else:
                done.callback(None)

        turn(number)
        return done


def waits(sock: socket.socket) -> bool:
    """Tell whether a client has heard nothing yet, not even an end."""
    return not select.select([sock], [], [], 0)[0]


class BacklogTests(Admitting):
    """At the limit clients wait in the backlog, and are served when one leaves."""

    async def test_servedWhenOneLeaves(self) -> None:
        """Each in turn; nobody is sent away."""
        admission = await self.admit(maxConnections=2)
        clients = [self.client() for _ in range(6)]
        for number in range(5):
            await self.queue.get()
            if number == 1:
                await self.turns()
                self.assertEqual([waits(sock) for sock in clients], [False] * 2 + [True] * 4)
            if number:
                self.assertEqual(admission.connections, 2)
                self.assertEqual(await self.heard(clients[number - 1]), b"hello")
                clients[number - 1].close()
        await self.queue.get()
        self.assertEqual(await self.heard(clients[5]), b"hello")

    async def test_aBurst(self) -> None:
        """A batch of those who wait ends at the limit, not above it."""
        await self.admit("tcp:0:interface=127.0.0.1:backlog=300", maxConnections=10)
        most = 0
        for _ in [self.client() for _ in range(200)]:
            protocol = await self.queue.get()
            await self.turns(2)
            most = max(most, len(self.listener.connections))
            protocol.transport.loseConnection()
        self.assertEqual(most, 10)
        self.assertEqual(len(self.told.opened), 200)

    async def test_severalPorts(self) -> None:
        """The limit is a total: another port of the listener, and another listener, wait too."""
        admission = await self.admit(maxConnections=1)
        factory, endpoint = self.port.factory, "tcp:0:interface=127.0.0.1"
        port = await serverFromString(net, endpoint).listen(factory)
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
        await self.turns()
        self.assertEqual((waits(second), waits(third)), (True, True))
        first.close()
        await self.queue.get()
        await self.turns()
        self.assertEqual([waits(second), waits(third)].count(True), 1)
        self.assertEqual(admission.connections, 1)
        for sock in (second, third):
            sock.close()
        await self.queue.get()

    async def test_stopsWhileFull(self) -> None:
        """Who leaves after the port has closed has nobody let in."""
        admission = await self.admit(maxConnections=1)
        sock = self.client()
        await self.queue.get()
        await self.port.stopListening()
        sock.close()
        await self.told.ending()
        await self.turns()
        self.assertEqual((admission.connections, net.getReaders().count(self.port)), (0, 0))

    async def test_handshakesTakeTheirPlace(self) -> None:
        """Whoever does not finish one takes the place of another until it is gone."""
        pem = localhostFile(self.folder())
        admission = await self.admit(
            f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1", maxConnections=1
        )
        silent = self.client()
        await self.queue.get()
        waiting = self.talk(self.shakeHands, self.client())
        await self.turns()
        self.assertEqual((admission.connections, admission.handshakes), (1, 1))
        silent.close()
        self.assertEqual(await waiting, b"hello")

    def shakeHands(self, sock: socket.socket) -> bytes:
        sock.settimeout(None)
        tls = TLS(CertificateOptions().getContext(), sock)
        tls.set_connect_state()
        tls.do_handshake()
        return tls.recv(100)


class BusyTests(Admitting):
    """A peer that has enough reads why it is sent away."""

    async def test_readWhileSending(self) -> None:
        """Always, also by a client that sends and sends."""
        admission = await self.admit(maxPerPeer=1)
        self.client()
        await self.queue.get()
        heard = [await self.talk(self.chatter) for _ in range(200)]
        self.assertEqual(heard.count(b"busy\r\n"), 200, set(heard))
        self.assertEqual((admission.connections, len(self.told.opened)), (1, 1))

    def chatter(self) -> bytes:
        """Send until the goodbye is there and beyond, and only then read, as most clients do."""
        try:
            with contextlib.closing(self.connect()) as sock:
                while waits(sock):
                    sock.sendall(b"x" * 4096)
                for _ in range(3):  # a reset would make these fail
                    sock.sendall(b"x" * 4096)
                return readAll(sock)
        except OSError as e:
            return repr(e).encode()

    async def test_letInAgain(self) -> None:
        """Once one of its connections has ended."""
        await self.admit(maxPerPeer=1)
        first = self.client()
        await self.queue.get()
        self.assertEqual(await self.talk(readAll, self.client()), b"busy\r\n")
        first.close()
        await self.told.ending()
        self.assertEqual(await self.heard(self.client()), b"hello")

    async def test_mapped(self) -> None:
        """An IPv4 client of an IPv6 socket is the same peer."""
        await self.admit(r"tcp6:0:interface=\:\:", maxPerPeer=1)
        self.client()
        await self.queue.get()
        self.assertEqual(await self.talk(readAll, self.client()), b"busy\r\n")
        with socket.create_connection(("::1", self.host.port), timeout=10) as other:
            self.assertEqual(await self.heard(other), b"hello")

    async def test_unix(self) -> None:
        """Unix sockets have no peers to count."""
        path = self.unixPath()
        await self.admit(f"unix:{path}", maxPerPeer=1)
        for _ in range(3):
            sock = socket.socket(socket.AF_UNIX)
            self.addCleanup(sock.close)
            sock.connect(path)
            self.assertEqual(await self.heard(sock), b"hello")

    async def test_noTextToTLS(self) -> None:
        """Over TLS no text is sent that would be no TLS."""
        pem = localhostFile(self.folder())
        endpoint = f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1"
        await self.admit(endpoint, maxPerPeer=1)
        self.client()
        await self.queue.get()
        said = await self.talk(readAll, self.client())
        self.assertNotIn(b"busy", said)

    async def test_descriptors(self) -> None:
        """Those of peers that were refused are closed, and a line a second tells of them."""
        admission = await self.admit(maxPerPeer=1)
        self.client()
        await self.queue.get()
        await self.talk(lambda: [self.greeted() for _ in range(10)])
        before = await self.descriptors()
        await self.talk(lambda: [self.greeted() for _ in range(100)])
        self.assertEqual(await self.descriptors(), before)
        admission.stop()
        counts = [event["count"] for event in self.logged]
        self.assertEqual(sum(counts), 110)
        self.assertLess(len(counts), 20)

    def greeted(self) -> bytes:
        with contextlib.closing(self.connect()) as sock:
            return readAll(sock)

    async def descriptors(self) -> int:
        await self.turns(20)
        return len(os.listdir("/proc/self/fd"))


class HandshakeTests(Admitting):
    """Those who do not finish their handshake keep nobody waiting for long."""

    async def crowd(self, number: int) -> Admission:
        """So many may be in a handshake, and are; none of them says a word."""
        pem = localhostFile(self.folder())
        endpoint = f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1"
        admission = await self.admit(endpoint, maxHandshakes=number)
        self.silent = [self.client() for _ in range(number)]
        for _ in self.silent:
            await self.queue.get()
        self.assertEqual(admission.handshakes, number)
        return admission

    async def test_theOldestGives(self) -> None:
        """Its place to whoever comes; the others, younger ones, stay."""
        self.patch(admissionmodule, "HANDSHAKE_GRACE", 0.05)
        admission = await self.crowd(3)
        self.assertEqual(await self.shaken(), b"hello")
        self.assertEqual((await self.told.ending()).why, "handshake-timeout")
        self.assertRaises(ConnectionResetError, self.silent[0].recv, 1)
        self.assertEqual([waits(sock) for sock in self.silent[1:]], [True, True])
        self.assertEqual((admission.handshakes, admission.connections), (2, 3))

    async def test_nobodyGoesTooSoon(self) -> None:
        """Who comes while all are young waits, and is served when one has finished."""
        self.patch(admissionmodule, "HANDSHAKE_GRACE", 1000.0)
        admission = await self.crowd(3)
        waiting = self.shaken()
        await self.turns()
        self.assertEqual(
            (admission.connections, [waits(sock) for sock in self.silent]), (3, [True] * 3)
        )
        self.silent[1].close()
        self.assertEqual(await waiting, b"hello")

    async def test_finished(self) -> None:
        """Who has finished counts no more."""
        admission = await self.crowd(1)
        self.silent[0].close()
        for number in range(10):
            self.assertEqual((await self.shaken(), admission.connections), (b"hello", number + 1))
        self.assertEqual(admission.handshakes, 0)

    def shaken(self) -> Deferred[bytes]:
        return self.talk(BacklogTests.shakeHands, self, self.client())
