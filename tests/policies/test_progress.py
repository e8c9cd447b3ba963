"""Tests for `tcplab.policies.progress`."""

from __future__ import annotations

import select
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.policies import progress as module
from tcplab.policies.progress import Progress
from tcplab.reactor.stack import bottomTransport, bufferedBytes, unacknowledgedBytes
from tests.support.certificates import overTLS
from tests.support.memory_listener import MemoryListener, memoryClock, unacknowledged
from tests.support.socket_server import Meeting, Met, Serving, readAll


class MemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(module, "unacknowledgedBytes", unacknowledged)
        self.listener = MemoryListener(memoryClock())
        self.progress = Progress()

    def test_measure(self) -> None:
        """What was sent and does not wait in the kernel, the peer has taken."""
        transport = self.listener.acceptOne()
        transport.socket.window = 30
        transport.say(35)
        self.assertEqual(self.progress.measure(transport), (0, 35))
        transport.take(20)
        self.assertEqual(self.progress.measure(transport), (20, 15))

    def test_mayHavePending(self) -> None:
        """The kernel is not asked again where nothing waited, until more is sent."""
        idle, busy, new = every = [self.listener.acceptOne() for _ in range(3)]
        idle.say(10, taken=10)
        busy.say(10, taken=9)
        self.listener.tls = True
        handshaking = self.listener.acceptOne()
        every.append(handshaking)
        self.assertEqual(self.progress.mayHavePending(every), every)
        for each in every:
            self.progress.measure(each)
        self.assertEqual(self.progress.mayHavePending(every), [busy, handshaking])
        idle.say(1)
        self.assertEqual(self.progress.mayHavePending(every), [idle, busy, handshaking])
        new.end()
        self.progress.prune()
        self.assertEqual(list(self.progress._idleAt), [idle])


@implementer(IPushProducer)
class Silent(Met):
    """Be a producer without bytes."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None: ...


class Progressing(Serving):
    """Serve protocols that do nothing by themselves."""

    async def accepted(self, endpoint: str = "tcp:0:interface=127.0.0.1") -> tuple[Any, Any]:
        """Connect; return the protocol, and the transport with its socket."""
        factory = Meeting(kind=Silent)
        await self.serve(factory, endpoint)
        self.progress = Progress()
        self.peer = self.client()
        if endpoint.startswith("ssl"):
            tls = await self.talk(overTLS, self.peer)
            self.addCleanup(tls.close)
        protocol = await factory.queue.get()
        transport: Any = bottomTransport(protocol.transport)
        await self.until(lambda: transport.established and not unacknowledgedBytes(transport))
        return protocol, transport

    async def full(self, transport: Any) -> None:
        await self.until(lambda: not select.select([], [transport.socket], [], 0)[1])


class SocketTests(Progressing):
    async def test_aPeerThatDoesNotRead(self) -> None:
        """Its kernel takes a part; the rest waits, here and in ours, until the peer reads."""
        protocol, transport = await self.accepted()
        size = 2**24  # more than fits in any buffer
        protocol.transport.write(bytes(size))
        await self.full(transport)
        taken, waiting = self.progress.measure(transport)
        self.assertEqual(taken + waiting, size)
        self.assertGreater(waiting, bufferedBytes(transport))
        self.assertLess(taken, transport.sent)
        reading = self.talk(readAll, self.peer)
        await self.until(lambda: self.progress.measure(transport) == (size, 0))
        self.assertEqual(self.progress.mayHavePending([transport]), [])
        protocol.transport.loseConnection()
        self.assertEqual(len(await reading), size)

    async def test_unix(self) -> None:
        """The bytes in the kernel of a Unix socket are the peer's; but it may be full of them."""
        protocol, transport = await self.accepted(f"unix:{self.unixPath()}")
        protocol.transport.write(b"hello")
        await self.until(lambda: transport.sent == 5)
        self.assertEqual(self.progress.measure(transport), (5, 0))
        self.assertEqual(self.progress.mayHavePending([transport]), [transport])
        protocol.transport.write(bytes(2**24))
        await self.full(transport)
        buffered = bufferedBytes(transport)
        self.assertEqual(self.progress.measure(transport), (transport.sent, buffered))
        self.assertGreater(buffered, 0)

    async def test_notSent(self) -> None:
        """While a producer goes on, or after a half-close, no close_notify waits."""
        for close in ("loseConnection", "loseWriteConnection"):
            protocol, transport = await self.accepted(self.tlsEndpoint())
            if close == "loseConnection":
                protocol.transport.registerProducer(protocol, True)
            getattr(protocol.transport, close)()
            await self.until(lambda: not unacknowledgedBytes(transport))  # noqa: B023
            self.assertEqual(self.progress.measure(transport), (transport.sent, 0))
