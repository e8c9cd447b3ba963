"""Tests for `tcplab.policies.admission` on real sockets: what the kernel and TLS add."""

from __future__ import annotations

import socket
from typing import Any

from tcplab.listener.listener import Listener
from tcplab.policies import admission as admissionmodule
from tcplab.policies.admission import Admission
from tests.support.certificates import overTLS
from tests.support.socket_server import Meeting, Serving


class Admitting(Serving):
    async def admit(self, endpoint: str, **limits: Any) -> Admission:
        factory = Meeting(b"hello")
        self.queue = factory.queue
        self.told = await self.serve(factory, endpoint)
        admission = Admission(**limits)
        admission.watch(self.listener)
        self.addCleanup(self._nothingLeft, admission, self.listener)
        return admission

    async def _nothingLeft(self, admission: Admission, listener: Listener) -> None:
        listener.abort()
        await listener.whenEmpty()
        self.assertEqual((admission.connections, admission.handshakes), (0, 0))
        admission.stop()

    def greeted(self, sock: socket.socket) -> bytes:
        """Complete a handshake, and return the greeting."""
        sock.settimeout(None)
        tls = overTLS(sock)
        self.addCleanup(tls.close)
        return tls.recv(100)


class LimitTests(Admitting):
    async def test_batch(self) -> None:
        """A batch of accepts ends at the limit; each that leaves lets in a waiting client."""
        await self.admit("tcp:0:interface=127.0.0.1:backlog=300", maxConnections=10)
        most = 0
        for _ in [self.client() for _ in range(200)]:
            protocol = await self.queue.get()
            await self.turns(2)
            most = max(most, len(self.listener.connections))
            protocol.transport.loseConnection()
        self.assertEqual((most, len(self.told.opened)), (10, 200))

    async def test_unix(self) -> None:
        """Unix sockets have no peers to count."""
        await self.admit(f"unix:{self.unixPath()}", maxPerPeer=1)
        for _ in range(2):
            self.assertEqual(await self.heard(self.client()), b"hello")


class HandshakeTests(Admitting):
    """Clients that send nothing take the places of the limit."""

    async def silent(self, number: int, **limits: int) -> tuple[Admission, list[socket.socket]]:
        admission = await self.admit(self.tlsEndpoint(), **limits)
        silent = [self.client() for _ in range(number)]
        for _ in silent:
            await self.queue.get()
        self.assertEqual(admission.handshakes, number)
        return admission, silent

    async def test_evicted(self) -> None:
        """The oldest is reset for a new connection, which counts no more once established."""
        self.patch(admissionmodule, "HANDSHAKE_GRACE", 0.05)
        admission, silent = await self.silent(3, maxHandshakes=3)
        for number in range(5):
            self.assertEqual(await self.talk(self.greeted, self.client()), b"hello")
            self.assertEqual((admission.handshakes, admission.connections), (2, 3 + number))
        self.assertEqual((await self.told.ending()).why, "handshake-timeout")
        self.assertEqual(len(self.told.endings), 1)
        self.assertRaises(ConnectionResetError, silent[0].recv, 1)

    async def test_grace(self) -> None:
        """While all are young a client waits until one of them ends."""
        self.patch(admissionmodule, "HANDSHAKE_GRACE", 1000.0)
        for limits, number in (({"maxHandshakes": 3}, 3), ({"maxConnections": 1}, 1)):
            admission, silent = await self.silent(number, **limits)
            waiting = self.talk(self.greeted, self.client())
            await self.turns(10)
            self.assertEqual((admission.connections, waiting.called), (number, False))
            silent[0].close()
            self.assertEqual(await waiting, b"hello")
