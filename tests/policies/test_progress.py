"""Tests for `tcplab.policies.progress`."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import DeferredQueue
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.policies import progress as module
from tcplab.policies.progress import Progress
from tcplab.reactor.stack import bottomTransport, bufferedBytes, unacknowledgedBytes
from tests.support.certificates import localhostFile
from tests.support.socket_server import Serving, readAll


class Fake(FileDescriptor):
    """A transport on a kernel that does as the test says."""

    connected: Any = True
    established = True
    protocol = None

    def __init__(self, sent: int = 0, queued: int = 0) -> None:
        super().__init__(MemoryReactor())
        self.sent = sent
        self.queued = queued


class MemoryTests(SynchronousTestCase):
    """What is asked, and how often."""

    def setUp(self) -> None:
        self.asked: list[Fake] = []

        def underway(transport: Fake) -> int:
            self.asked.append(transport)
            return transport.queued + len(transport.dataBuffer)

        self.patch(module, "unacknowledgedBytes", underway)
        self.progress = Progress()

    def test_taken(self) -> None:
        """What was sent and does not wait in the kernel, the peer has taken."""
        fake = Fake(sent=100, queued=30)
        fake.dataBuffer = b"12345"
        self.assertEqual(self.progress.measure(fake), (70, 35))
        fake.queued = 0
        self.assertEqual(self.progress.measure(fake), (100, 5))

    def test_idleAt(self) -> None:
        """For whom nothing waits the kernel is not asked again, until more is sent."""
        quiet, busy, fresh = Fake(sent=10), Fake(sent=10, queued=1), Fake()
        every = [quiet, busy, fresh]
        self.assertEqual(self.progress.mayHavePending(every), every)
        for each in every:
            self.progress.measure(each)
        self.assertEqual(self.progress.mayHavePending(every), [busy])
        quiet.sent += 1
        self.assertEqual(self.progress.mayHavePending(every), [quiet, busy])

    def test_handshake(self) -> None:
        """Who is in a handshake is never quiet."""
        fake = Fake(sent=10)
        fake.established = False
        self.progress.measure(fake)
        self.assertEqual(self.progress.mayHavePending([fake]), [fake])

    def test_forgetsGone(self) -> None:
        """Of a connection that is over nothing is kept."""
        gone, here = Fake(), Fake()
        for each in (gone, here):
            self.progress.measure(each)
        gone.connected = False
        self.progress.prune()
        self.assertEqual(list(self.progress._idleAt), [here])


@implementer(IPushProducer)
class Keeps(Protocol):
    """Do nothing but be there."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None: ...

    def connectionMade(self) -> None:
        self.factory.queue.put(self)  # type: ignore[union-attr]


class Hall(Factory):
    """Hand each protocol to the test."""

    noisy = False
    protocol = Keeps

    def __init__(self) -> None:
        self.queue: DeferredQueue[Any] = DeferredQueue()


class Progressing(Serving):
    """Serve protocols that do nothing by themselves."""

    async def begin(self, endpoint: str = "tcp:0:interface=127.0.0.1") -> None:
        self.hall = Hall()
        self.told = await self.serve(self.hall, endpoint)
        self.progress = Progress()

    async def accepted(self) -> tuple[Any, Any]:
        """Return the next protocol, and the transport that has its socket."""
        protocol = await self.hall.queue.get()
        return protocol, bottomTransport(protocol.transport)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await deferLater(reactor, 0)  # type: ignore[arg-type]


class SocketTests(Progressing):
    """The same on kernels that do as they like."""

    async def test_aPeerThatDoesNotRead(self) -> None:
        """Its kernel takes a part; the rest waits, here and in ours, until the peer reads."""
        await self.begin()
        client = self.connect()
        self.addCleanup(client.close)
        protocol, transport = await self.accepted()
        size = 2**24  # more than fits in any buffer
        protocol.transport.write(bytes(size))
        await self.until(lambda: not select.select([], [transport.socket], [], 0)[1])
        taken, waiting = self.progress.measure(transport)
        self.assertEqual(taken + waiting, size)
        self.assertGreater(waiting, bufferedBytes(transport))
        self.assertLess(taken, transport.sent)
        reading = self.talk(readAll, client)
        await self.until(lambda: self.progress.measure(transport) == (size, 0))
        self.assertEqual(self.progress.mayHavePending([transport]), [])
        protocol.transport.loseConnection()
        self.assertEqual(len(await reading), size)

    async def test_unix(self) -> None:
        """What the kernel of a Unix socket holds is with the peer; but it may be full of it."""
        path = self.unixPath()
        await self.begin(f"unix:{path}")
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(path)
        protocol, transport = await self.accepted()
        protocol.transport.write(b"hello")
        await self.until(lambda: transport.sent == 5)
        self.assertEqual(self.progress.measure(transport), (5, 0))
        self.assertEqual(self.progress.mayHavePending([transport]), [transport])
        protocol.transport.write(bytes(2**24))
        await self.until(lambda: not select.select([], [transport.socket], [], 0)[1])
        expected = (transport.sent, bufferedBytes(transport))
        self.assertEqual(self.progress.measure(transport), expected)
        self.assertGreater(bufferedBytes(transport), 0)


class TLSTests(Progressing):
    """TLS's last word waits for its answer."""

    async def connected(self) -> tuple[SSL.Connection, Any, Any]:
        pem = localhostFile(self.folder())
        await self.begin(f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1")
        sock = self.connect()
        self.addCleanup(sock.close)
        sock.settimeout(None)  # OpenSSL takes a socket with a time limit for a non-blocking one
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), sock)
        client.set_connect_state()
        await self.talk(client.do_handshake)
        protocol, transport = await self.accepted()
        await self.until(lambda: transport.established and not unacknowledgedBytes(transport))
        return client, protocol, transport

    async def test_unanswered(self) -> None:
        """A peer that has taken close_notify has still to answer it."""
        client, protocol, transport = await self.connected()
        self.assertEqual(self.progress.measure(transport), (transport.sent, 0))
        protocol.transport.loseConnection()
        await self.until(lambda: self.progress.mayHavePending([transport]) != [])
        await self.until(lambda: not unacknowledgedBytes(transport))
        self.assertEqual(self.progress.measure(transport), (transport.sent, 1))
        self.assertEqual(self.progress.mayHavePending([transport]), [transport])
        await self.talk(client.shutdown)
        self.assertIsNone((await self.told.ending()).why)

    async def test_aProducerThatGoesOn(self) -> None:
        """As long as a producer has something to say the last word is not said."""
        _, protocol, transport = await self.connected()
        protocol.transport.registerProducer(protocol, True)
        protocol.transport.loseConnection()
        await self.until(lambda: not unacknowledgedBytes(transport))
        self.assertEqual(self.progress.measure(transport), (transport.sent, 0))

    async def test_halfClosed(self) -> None:
        """Who has finished in one direction only waits for no answer."""
        _, protocol, transport = await self.connected()
        protocol.transport.loseWriteConnection()
        await self.until(lambda: not unacknowledgedBytes(transport))
        self.assertEqual(self.progress.measure(transport), (transport.sent, 0))
