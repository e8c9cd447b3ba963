"""Tests for `tcplab.policies.deadlines` on real sockets, in a time that the tests let pass."""

from __future__ import annotations

import select
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater

from tcplab.policies.deadlines import Deadlines
from tcplab.reactor.stack import bottomTransport, bufferedBytes, unacknowledgedBytes
from tests.support.certificates import overTLS
from tests.support.socket_server import Meeting, Serving

TCP = "tcp:0:interface=127.0.0.1"
HUGE = 2**24  # bytes: more than fits in any buffer


class WriteTests(Serving):
    """Peers that do not read are reset, whatever protocol serves them."""

    async def test_expired(self) -> None:
        unix, tls = f"unix:{self.unixPath()}", self.tlsEndpoint()
        for what, endpoint, size, closes in (
            ("more than the kernels take", TCP, HUGE, False),
            ("the same after a close", TCP, HUGE, True),
            ("bytes in the kernel only", TCP, 100_000, False),
            ("bytes in this process only", unix, HUGE, False),
            ("TLS: what the kernel takes of the ciphertext", tls, HUGE, False),
            ("TLS: no answer to a close_notify", tls, 0, True),
        ):
            await self.stuck(endpoint, size, closes)
            await self.wait(29)
            self.assertEqual(self.told.endings, [], what)
            await self.wait(3)
            ending = await self.told.ending()
            found = ending.by, ending.how, ending.why
            self.assertEqual(found, ("server", "reset", "write-timeout"), what)

    async def stuck(self, endpoint: str, size: int, closes: bool) -> None:
        """Serve a client that does not read, until nothing moves any more."""
        factory = Meeting(bytes(size))
        self.told = await self.serve(factory, endpoint)
        self.clock = Clock()
        deadlines = Deadlines(clock=self.clock)
        deadlines.watch(self.listener)
        self.addCleanup(deadlines.stop)
        client = self.client()
        if endpoint.startswith("ssl"):
            client = await self.talk(overTLS, client)
            self.addCleanup(client.close)
        protocol = await factory.queue.get()
        transport: Any = bottomTransport(protocol.transport)
        await self.until(lambda: transport.established)
        if closes:
            protocol.transport.loseConnection()
        await self.until(lambda: not bufferedBytes(transport) or isFull(transport.socket))
        left = -1
        while left != (left := unacknowledgedBytes(transport)):  # the peer's kernel takes its time
            await deferLater(reactor, 0.25)  # type: ignore[arg-type]

    def connect(self) -> socket.socket:
        """Connect a peer with a small buffer."""
        sock = socket.socket(self.port.socket.family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect(self.port.socket.getsockname())
        return sock

    async def wait(self, seconds: float) -> None:
        """Let time pass for the policy, and the reactor turn meanwhile."""
        for _ in range(round(seconds / 0.25)):
            self.clock.advance(0.25)
            await self.turns(1)


def isFull(sock: socket.socket) -> bool:
    """Tell whether the kernel takes no more."""
    return not select.select([], [sock], [], 0)[1]
