"""Tests for `tcplab.faults.listenerfaults`."""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults import listenerfaults
from tcplab.faults.listenerfaults import Door, ListenerFaults
from tcplab.faults.parse import parseFault
from tcplab.listener.listener import Listener
from tcplab.observers import Observers
from tcplab.protocols import ConversationFactory, Greeting
from tests.support.fault_server import Breaking, exchange
from tests.support.socket_server import Serving, readAll

HELLO = b"Hello from server!"


def family(address: Any) -> int:
    """Tell the family of an address."""
    if not isinstance(address, tuple):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def connect(address: Any) -> socket.socket:
    """Begin to connect, and wait for nothing."""
    sock = socket.socket(family(address))
    sock.setblocking(False)
    error = sock.connect_ex(address)
    if error not in (0, errno.EINPROGRESS):
        sock.close()
        raise OSError(error, os.strerror(error))
    return sock


class DoorTests(Serving):
    """A port that is shut, and opens again."""

    async def doorAt(self, endpoint: str) -> tuple[Door, Any]:
        await self.serve(ConversationFactory(Greeting), endpoint)
        return Door(self.port), self.port.socket.getsockname()

    def set(self, door: Door, state: str) -> None:
        self.listener.suspend("test")
        door.set(state)
        if state == "open":
            self.listener.resume("test")

    def read(self, address: Any) -> bytes:
        with socket.socket(family(address)) as sock:
            sock.settimeout(10)
            sock.connect(address)
            sock.shutdown(socket.SHUT_WR)
            return readAll(sock)

    async def refused(self, endpoint: str) -> None:
        door, address = await self.doorAt(endpoint)
        for _ in range(3):
            self.assertEqual(await self.talk(self.read, address), HELLO)
            self.set(door, "refuse")
            with self.assertRaises(ConnectionRefusedError):
                await self.talk(self.read, address)
            self.assertEqual(self.port.socket.getsockname(), address)
            self.set(door, "open")
            self.assertEqual(self.port.socket.getsockname(), address)
        self.assertEqual(await self.talk(self.read, address), HELLO)

    async def test_refuse(self) -> None:
        """A port that the system chose stays ours, as often as we like."""
        await self.refused("tcp:0:interface=127.0.0.1")

    async def test_refuseFixed(self) -> None:
        """And one that was typed."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        await self.refused(f"tcp:{port}:interface=127.0.0.1")

    async def test_refuseUnix(self) -> None:
        """The socket keeps its path and its mode."""
        path = self.unixPath()
        await self.refused(f"unix:{path}:mode=640")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)

    async def test_ours(self) -> None:
        """Nobody takes the port meanwhile; who is connected stays so."""
        door, address = await self.doorAt("tcp:0:interface=127.0.0.1")
        with self.connect() as live:
            self.assertEqual(await self.talk(live.recv, 100), HELLO)
            self.set(door, "refuse")
            for reuse in (0, 1):
                with socket.socket() as other:
                    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
                    with self.assertRaises(OSError) as caught:
                        other.bind(address)
                    self.assertEqual(caught.exception.errno, errno.EADDRINUSE)
            live.shutdown(socket.SHUT_WR)
            self.assertEqual(await self.talk(live.recv, 100), b"")
            self.set(door, "open")
        self.assertEqual(await self.talk(self.read, address), HELLO)

    async def test_waiting(self) -> None:
        """Whoever had connected before is let in."""
        door, address = await self.doorAt("tcp:0:interface=127.0.0.1")
        with connect(address) as early:
            door.set("refuse")
            self.listener.suspend("test")
            early.setblocking(True)
            self.assertEqual(await self.talk(early.recv, 100), HELLO)
        self.set(door, "open")

    async def test_hang(self) -> None:
        """The SYN is not answered; the kernel tries again, and is heard when it is over."""
        await self.unanswered("tcp:0:interface=127.0.0.1", "127.0.0.1")

    async def test_hangIPv6(self) -> None:
        """Nor is that of IPv6, nor that of IPv4 where both are served."""
        for interface, host in ((r"\:\:1", "::1"), (r"\:\:", "::1"), (r"\:\:", "127.0.0.1")):
            await self.unanswered(f"tcp6:0:interface={interface}", host)

    async def unanswered(self, endpoint: str, host: str) -> None:
        door, own = await self.doorAt(endpoint)
        address = (host, own[1])
        self.set(door, "hang")
        with connect(address) as sock:
            syn_sent = 2
            for _ in range(100):
                self.assertEqual(self.state(sock), syn_sent)
            self.set(door, "open")
            sock.setblocking(True)
            sock.settimeout(10)
            self.assertEqual(await self.talk(sock.recv, 100), HELLO)
        self.assertEqual(await self.talk(self.read, address), HELLO)

    def state(self, sock: socket.socket) -> int:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]

    async def test_hangUnix(self) -> None:
        """A connect waits, and is through when it is over; nobody is told of our own fillers."""
        path = self.unixPath()
        door, _ = await self.doorAt(f"unix:{path}")
        self.set(door, "hang")
        with self.assertRaises(BlockingIOError):
            connect(path)
        self.set(door, "open")
        self.assertEqual(await self.talk(self.read, path), HELLO)
        await self.listener.whenEmpty()
        self.assertEqual(self.listener.nextNumber(), 2)

    async def test_oneToAnother(self) -> None:
        door, address = await self.doorAt("tcp:0:interface=127.0.0.1")
        self.set(door, "hang")
        self.set(door, "refuse")
        with self.assertRaises(ConnectionRefusedError):
            await self.talk(self.read, address)
        self.set(door, "hang")
        with connect(address) as sock:
            self.assertEqual(self.state(sock), 2)
        self.set(door, "open")
        self.assertEqual(await self.talk(self.read, address), HELLO)

    async def test_closed(self) -> None:
        """A port that listens no more has no door."""
        door, _ = await self.doorAt("tcp:0:interface=127.0.0.1")
        await self.port.stopListening()
        door.set("refuse")
        door.set("open")


class KeepingTests(SynchronousTestCase):
    """Which doors are shut when, with doors that only remember it."""

    def setUp(self) -> None:
        self.states: dict[object, str] = {}

        class Remembers:
            def __init__(door, port: object) -> None:
                door.port = port

            def set(door, state: str) -> None:
                self.states[door.port] = state

        self.patch(listenerfaults, "Door", Remembers)
        self.clock = Clock()
        self.keeper = ListenerFaults(self.clock)
        self.listeners = [self.listener("a"), self.listener("b")]
        for listener in self.listeners:
            self.keeper.watch(listener)

    def listener(self, name: str) -> Any:
        class OfOnePort(Listener):
            ports = [name]

        return OfOnePort(name, Observers())

    def add(self, name: str, text: str) -> None:
        self.keeper.add(name, parseFault(text))

    def test_both(self) -> None:
        """All listeners, unless one is named; what is shut accepts nobody."""
        self.assertEqual(self.states, {"a": "open", "b": "open"})
        self.add("x", "refuse")
        self.assertEqual(self.states, {"a": "refuse", "b": "refuse"})
        self.assertTrue(self.listeners[0].suspended)
        self.keeper.remove("x")
        self.add("y", "hang@b")
        self.assertEqual(self.states, {"a": "open", "b": "hang"})
        self.assertEqual([each.suspended for each in self.listeners], [False, True])

    def test_schedule(self) -> None:
        self.add("x", "refuse,after=2s,for=3s")
        seen = []
        for _ in range(7):
            seen.append(self.states["a"])
            self.clock.advance(1)
        self.assertEqual(seen, ["open"] * 2 + ["refuse"] * 3 + ["open"] * 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_removedBefore(self) -> None:
        self.add("x", "refuse,after=2s")
        self.keeper.remove("x")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_worst(self) -> None:
        """Of several one is left when another ends."""
        self.add("x", "hang")
        self.add("y", "refuse,for=1s")
        self.assertEqual(self.states["a"], "refuse")
        self.clock.advance(1)
        self.assertEqual(self.states["a"], "hang")
        self.keeper.remove("x")
        self.assertEqual(self.states["a"], "open")

    def test_newPort(self) -> None:
        self.add("x", "hang")
        self.listeners[0].ports.append("a6")
        self.keeper.update(self.listeners[0])
        self.assertEqual(self.states["a6"], "hang")

    def test_nobodyWatched(self) -> None:
        """Time passes only while there are doors; with new ones it begins anew."""
        self.add("x", "refuse,after=2s,for=1s")
        self.clock.advance(1)
        for listener in self.listeners:
            self.keeper.forget(listener)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.keeper.watch(self.listeners[0])
        self.clock.advance(1.9)
        self.assertEqual(self.states["a"], "open")
        self.clock.advance(0.1)
        self.assertEqual(self.states["a"], "refuse")
        self.keeper.forget(self.listeners[0])
        self.assertEqual((self.states["a"], self.clock.getDelayedCalls()), ("open", []))

    def test_forgotten(self) -> None:
        self.add("x", "hang")
        self.keeper.forget(self.listeners[0])
        self.assertEqual((self.states["a"], self.listeners[0].suspended), ("open", False))


class ServedTests(Breaking):
    """On real sockets."""

    async def test_refuse(self) -> None:
        told = await self.serveBroken(ConversationFactory(Greeting), "refuse")
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        self.faults.clear()
        got = await self.talk(exchange, self.connect(), b"")
        self.assertEqual(got, (b"Hello from server!", "fin"))
        self.assertEqual(told.hits, [(None, "refuse listener=test")])

    async def test_whileItServes(self) -> None:
        """A Unix socket's place is taken by another one, behind the reactor's back."""
        path = self.unixPath()
        await self.serveBroken(ConversationFactory(Greeting), endpoint=f"unix:{path}")
        for fault in ("refuse", "hang") * 2:
            name = self.faults.add(fault)
            with self.assertRaises((ConnectionRefusedError, BlockingIOError)), self.unixTo(path):
                self.fail("connected")
            self.faults.remove(name)
            with self.unixTo(path) as sock:
                sock.setblocking(True)
                got = await self.talk(exchange, sock, b"")
                self.assertEqual(got, (b"Hello from server!", "fin"))

    def unixTo(self, path: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.setblocking(False)
        sock.connect(path)
        return sock

    async def test_beforeThePort(self) -> None:
        """A port that listens later is shut as well."""
        await self.serveBroken(ConversationFactory(Greeting), "refuse")
        port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(
            ConversationFactory(Greeting)
        )
        self.addCleanup(port.stopListening)
        self.listener.addPort(port)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port.getHost().port))
