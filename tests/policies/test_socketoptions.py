"""Tests for `tcplab.policies.socketoptions`."""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import socketoptions
from tcplab.policies.socketoptions import growReceiveBuffer, setListenOptions
from tcplab.protocols.echo import Echo
from tcplab.protocols.factory import ConversationFactory
from tcplab.reactor.stack import bufferedBytes
from tests.support.socket_server import Serving


class WidenTests(SynchronousTestCase):
    """Real sockets; only whether the peer is heard of is what the test says."""

    def setUp(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        self.peer = socket.create_connection(listening.getsockname())
        self.addCleanup(self.peer.close)
        self.socket, _ = listening.accept()
        self.addCleanup(self.socket.close)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)

    def size(self) -> int:
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def say(self) -> None:
        """Have something there that nobody has read."""
        self.peer.sendall(b"x")
        self.socket.recv(1, socket.MSG_PEEK)

    def unheard(self) -> None:
        """Have it look as if nothing came back: the first byte of all, the state, is never 0."""
        self.patch(socketoptions, "_UNHEARD", slice(0, 1))

    def test_itGrows(self) -> None:
        """As long as nothing comes back, but not for ever."""
        self.say()
        self.unheard()
        before = self.size()
        self.assertTrue(growReceiveBuffer(self))
        self.assertEqual(self.size(), before + 256 * 1024)
        for _ in range(10):
            self.assertTrue(growReceiveBuffer(self))
        self.assertEqual(self.size(), 1024 * 1024)

    def test_whoOnlyDoesNotReadIsHeard(self) -> None:
        """Then the buffer stays as it is."""
        self.say()
        before = self.size()
        self.assertFalse(growReceiveBuffer(self))
        self.assertEqual(self.size(), before)

    def test_nothingToRead(self) -> None:
        """It was not for want of room that nothing came."""
        self.unheard()
        before = self.size()
        self.assertFalse(growReceiveBuffer(self))
        self.assertEqual(self.size(), before)

    def test_noSuchSocket(self) -> None:
        """Unix sockets have no acknowledgements, and some transports have no socket."""
        self.unheard()
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        other.send(b"x")
        for sock in (one, None, object()):
            transport: Any = Transport()
            transport.socket = sock
            self.assertFalse(growReceiveBuffer(transport))
        self.assertFalse(growReceiveBuffer(Transport()))


class Transport:
    """May have a socket."""


KIB = 1024

# linux/sock_diag.h; Python has no names for them.
SO_MEMINFO, RECEIVED, QUEUED, NUMBERS = 55, 0, 5, 9


class Options(Serving):
    """A server whose port is prepared before anybody connects."""

    async def prepared(self, factory: Any = None, **wishes: Any) -> Any:
        await self.serve(factory or Factory.forProtocol(Protocol))
        self.assertIs(setListenOptions(self.port, **wishes), True)

    async def accepted(self) -> tuple[socket.socket, Any]:
        client = self.connect()
        self.addCleanup(client.close)
        while not self.listener.connections:
            await deferLater(reactor, 0)  # type: ignore[arg-type]
        (transport,) = self.listener.connections
        return client, transport

    async def timers(self, **wishes: Any) -> tuple[int, ...]:
        """Return keepalive's three, in seconds, and TCP_USER_TIMEOUT, in ms, as they arrive."""
        await self.prepared(**wishes)
        _, transport = await self.accepted()
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        get = transport.socket.getsockopt
        self.assertEqual(get(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
        return tuple(get(socket.IPPROTO_TCP, getattr(socket, name)) for name in names)


class NoticingTests(Options):
    """A peer that is dead is noticed."""

    async def test_usual(self) -> None:
        """Within 120 s."""
        self.assertEqual(await self.timers(), (60, 10, 5, 110_000))

    async def test_faster(self) -> None:
        """Or within what is asked for."""
        self.assertEqual(await self.timers(gone=10, write=5), (5, 1, 4, 9000))

    async def test_fastest(self) -> None:
        """The kernel counts in seconds."""
        self.assertEqual(await self.timers(gone=2, write=0.5), (1, 1, 1, 1000))

    async def test_patience(self) -> None:
        """A peer that may take nothing for longer is not mistaken for a dead one."""
        self.assertEqual(await self.timers(write=110), (60, 10, 5, 0))

    async def test_patienceWithoutEnd(self) -> None:
        """Nor one that may do so for ever."""
        self.assertEqual(await self.timers(write=None), (60, 10, 5, 0))

    async def test_refused(self) -> None:
        """There is no time in which nobody could be asked."""
        await self.prepared()
        with self.assertRaisesRegex(ValueError, "^gone must be 2 seconds at least, not 1$"):
            setListenOptions(self.port, gone=1)


class BoundTests(Options):
    """What the kernel holds for a connection is bounded."""

    async def test_inherited(self) -> None:
        """The bounds arrive at those accepted, doubled by the kernel for its own."""
        await self.prepared()
        _, transport = await self.accepted()
        get = transport.socket.getsockopt
        most = [self._allowed("rmem_max", 384 * KIB), self._allowed("wmem_max", 256 * KIB)]
        self.assertEqual(get(socket.SOL_SOCKET, socket.SO_RCVBUF), 2 * most[0])
        self.assertEqual(get(socket.SOL_SOCKET, socket.SO_SNDBUF), 2 * most[1])
        self.assertEqual(get(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT), 128 * KIB)

    def _allowed(self, name: str, wanted: int) -> int:
        with open(f"/proc/sys/net/core/{name}") as file:
            return min(wanted, int(file.read()))

    async def test_aPeerThatDoesNotRead(self) -> None:
        """It sends an echo all it can: 1 MiB in the kernel, 256 KiB in this process."""
        await self.prepared(ConversationFactory(Echo))
        client, transport = await self.accepted()
        client.setblocking(False)
        quiet = 0
        while quiet < 100:  # in which the client could send no more
            quiet = 0 if self._sends(client) else quiet + 1
            await deferLater(reactor, 0)  # type: ignore[arg-type]
        numbers = struct.unpack(
            f"{NUMBERS}I", transport.socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4 * NUMBERS)
        )
        self.assertGreater(numbers[QUEUED], 0)
        self.assertLessEqual(numbers[RECEIVED] + numbers[QUEUED], 1024 * KIB)
        self.assertLessEqual(bufferedBytes(transport), 256 * KIB)

    def _sends(self, client: socket.socket) -> bool:
        try:
            client.send(bytes(64 * KIB))
        except BlockingIOError:
            return False
        return True


class OtherPortTests(Serving):
    """Only TCP ports are prepared, with what the system has."""

    async def test_unix(self) -> None:
        """A Unix socket stays as it is."""
        await self.serve(Factory.forProtocol(Protocol), f"unix:{self.unixPath()}")
        before = self.port.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.assertIs(setListenOptions(self.port), False)
        after = self.port.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.assertEqual(after, before)

    async def test_strange(self) -> None:
        """Somebody's own kind of port does too."""
        port = MemoryReactorClock().listenTCP(0, Factory.forProtocol(Protocol))
        self.assertIs(setListenOptions(port), False)
        await maybeDeferred(port.stopListening)  # type: ignore[call-overload]

    async def test_otherSystems(self) -> None:
        """What a system does not have is left out."""
        for name in ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_NOTSENT_LOWAT"):
            self.patch(socket, name, None)
        await self.serve(Factory.forProtocol(Protocol))
        self.assertIs(setListenOptions(self.port), True)
        get = self.port.socket.getsockopt
        self.assertEqual(get(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
