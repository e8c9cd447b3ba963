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
    async def test_evicted(self) -> None:
        """The oldest is reset for a new connection, which counts no more once established."""
        self.patch(admissionmodule, "HANDSHAKE_GRACE", 0.05)
        admission = await self.admit(self.tlsEndpoint(), maxHandshakes=3)
        silent = [self.client() for _ in range(3)]
        for _ in silent:
            await self.queue.get()
        for number in range(5):
            self.assertEqual(await self.talk(self.greeted, self.client()), b"hello")
            self.assertEqual((admission.handshakes, admission.connections), (2, 3 + number))
        self.assertEqual([each.why for each in self.told.endings], ["handshake-timeout"])
        self.assertRaises(ConnectionResetError, silent[0].recv, 1)

    def greeted(self, sock: socket.socket) -> bytes:
        """Complete a handshake, and return the greeting."""
        sock.settimeout(None)
        tls = overTLS(sock)
        self.addCleanup(tls.close)
        return tls.recv(100)
