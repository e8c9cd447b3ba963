"""Tests for `tcplab.policies.socketoptions`."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import socketoptions
from tcplab.policies.socketoptions import ProbeTimes, growReceiveBuffer, setListenOptions
from tcplab.protocols.echo import Echo
from tcplab.protocols.factory import ConversationFactory
from tcplab.reactor.stack import bufferedBytes
from tcplab.testing import connected
from tests.support.socket_server import Serving

KIB = 1024

# linux/sock_diag.h; Python has no names for them.
SO_MEMINFO, RECEIVED, QUEUED, NUMBERS = 55, 0, 5, 9


class Accepting(Serving):
    """A server whose port has options before the first client connects."""

    async def accepted(
        self, factory: Any = None, endpoint: str = "tcp:0:interface=127.0.0.1", **options: Any
    ) -> Any:
        """Serve, connect, and return the transport of the server."""
        await self.serve(factory or Factory.forProtocol(Protocol), endpoint)
        self.assertIs(setListenOptions(self.port, **options), endpoint.startswith("tcp"))
        self.peer = self.client()
        await self.until(lambda: self.listener.connections)
        (transport,) = self.listener.connections
        self.socket = transport.socket
        return transport

    def option(self, name: str) -> int:
        level = socket.SOL_SOCKET if name.startswith("SO_") else socket.IPPROTO_TCP
        return self.socket.getsockopt(level, getattr(socket, name))


class GrowTests(Accepting):
    """Real sockets; whether the peer has answered is patched."""

    async def grown(self, unread: bytes, unanswered: bool = True, endpoint: str = "tcp:0") -> int:
        """Return by how many bytes the buffer has grown."""
        transport = await self.accepted(endpoint=endpoint)
        transport.pauseProducing()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * KIB)
        if unread:
            self.peer.sendall(unread)
            await self.talk(self.socket.recv, 1, socket.MSG_PEEK)
        if unanswered:  # the first byte of tcp_info, the state, is never 0
            self.patch(socketoptions, "_UNANSWERED", slice(0, 1))
        before = self.option("SO_RCVBUF")
        grew = growReceiveBuffer(transport)
        self.assertEqual(grew, self.option("SO_RCVBUF") > before)
        for _ in range(10 if grew else 0):
            self.assertTrue(growReceiveBuffer(transport))
            self.assertLessEqual(self.option("SO_RCVBUF"), KIB * KIB)
        return self.option("SO_RCVBUF") - before

    async def test_grows(self) -> None:
        """In steps, up to a limit."""
        self.assertEqual(await self.grown(b"x"), KIB * KIB - 32 * KIB)

    async def test_noNeed(self) -> None:
        """A peer that answers; nothing unread; no TCP; no socket."""
        self.assertEqual(await self.grown(b"x", unanswered=False), 0)
        self.assertEqual(await self.grown(b""), 0)
        self.assertEqual(await self.grown(b"x", endpoint=f"unix:{self.unixPath()}"), 0)
        for transport in (object(), connected(Protocol()).transport):
            self.assertFalse(growReceiveBuffer(transport))


class ProbeTests(SynchronousTestCase):
    def test_bounds(self) -> None:
        """A dead peer is found in time, whatever crowd it came with."""
        for timeout in (2, 10, 120, 3600):
            times = ProbeTimes(timeout)
            for _ in range(300):
                probes = times.next()
                idle, interval = probes["TCP_KEEPIDLE"], probes["TCP_KEEPINTVL"]
                self.assertLessEqual(idle + interval * probes["TCP_KEEPCNT"], timeout)
                self.assertGreaterEqual(min(probes.values()), 1)

    def test_spread(self) -> None:
        """Of 300 crowds, all that a lab can have, at most 15 are probed within two seconds."""
        times = ProbeTimes(120)
        found = Counter(times.next()["TCP_KEEPIDLE"] // 2 for _ in range(300))
        self.assertLessEqual(max(found.values()), 15)


class ListenTests(Accepting):
    async def test_timers(self) -> None:
        """Those of keepalive, in seconds, and TCP_USER_TIMEOUT, in ms, are inherited."""
        for options, expected in (
            ({}, 110_000),
            ({"deadPeerTimeout": 10, "write": 5}, 9000),
            ({"deadPeerTimeout": 2, "write": 0.5}, 1000),  # the kernel counts seconds
            # A live peer that takes nothing for longer is not reset.
            ({"write": 110}, 0),
            ({"write": None}, 0),
        ):
            await self.accepted(**options)
            self.assertEqual(self.option("SO_KEEPALIVE"), 1)
            self.assertEqual(self.option("TCP_USER_TIMEOUT"), expected)
            probes = ProbeTimes(options.get("deadPeerTimeout") or 120).next()
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"):
                self.assertEqual(self.option(name), probes[name])

    async def test_crowd(self) -> None:
        """Other connections are probed at other times."""
        await self.accepted()
        port = self.port.socket
        seen = {port.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)}
        for _ in range(3):
            for _ in range(64):
                with socket.create_connection(port.getsockname()):
                    await self.turns(1)
            seen.add(port.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))
        self.assertEqual(len(seen), 4)

        with self.assertRaisesRegex(ValueError, "^deadPeerTimeout must be 2 seconds at least, not"):
            setListenOptions(None, deadPeerTimeout=1)

    async def test_bounds(self) -> None:
        """The bounds are inherited; the kernel doubles them for its own overhead."""
        await self.accepted()
        for name, allowed, size in (
            ("SO_RCVBUF", "rmem_max", 384 * KIB),
            ("SO_SNDBUF", "wmem_max", 256 * KIB),
        ):
            with open(f"/proc/sys/net/core/{allowed}") as file:
                self.assertEqual(self.option(name), 2 * min(size, int(file.read())))
        self.assertEqual(self.option("TCP_NOTSENT_LOWAT"), 128 * KIB)

    async def test_aPeerThatDoesNotRead(self) -> None:
        """It sends an echo all it can: 1 MiB in the kernel, 256 KiB in this process."""
        transport = await self.accepted(ConversationFactory(Echo))
        self.peer.setblocking(False)
        quiet = 0
        while quiet < 100:  # turns of the reactor in which the client could send no more
            quiet = 0 if self._sends() else quiet + 1
            await self.turns(1)
        numbers = struct.unpack(
            f"{NUMBERS}I", self.socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4 * NUMBERS)
        )
        self.assertGreater(numbers[QUEUED], 0)
        self.assertLessEqual(numbers[RECEIVED] + numbers[QUEUED], 1024 * KIB)
        self.assertLessEqual(bufferedBytes(transport), 256 * KIB)

    def _sends(self) -> bool:
        try:
            self.peer.send(bytes(64 * KIB))
        except BlockingIOError:
            return False
        return True

    async def test_otherPorts(self) -> None:
        """A Unix socket keeps its options; any other kind of port is left alone."""
        await self.serve(Factory.forProtocol(Protocol), f"unix:{self.unixPath()}")
        self.socket = self.port.socket
        before = self.option("SO_RCVBUF")
        for port in (self.port, MemoryReactorClock().listenTCP(0, Factory())):
            self.assertIs(setListenOptions(port), False)
        self.assertEqual(self.option("SO_RCVBUF"), before)

    async def test_otherSystems(self) -> None:
        """An option that the system does not have is left out."""
        for name in ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_NOTSENT_LOWAT"):
            self.patch(socket, name, None)
        await self.accepted()
        self.assertEqual(self.option("SO_KEEPALIVE"), 1)
