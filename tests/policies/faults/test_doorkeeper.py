"""Tests for `tcplab.policies.faults.doorkeeper`."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.observers import Observers
from tcplab.policies.faults import doorkeeper as module
from tcplab.policies.faults.doorkeeper import Doorkeeper
from tcplab.policies.faults.spec import parseFault
from tcplab.protocols import ConversationFactory, Greeting
from tcplab.reactor.port import Listener
from tests.policies.faults.breaking import Breaking, exchange


class KeepingTests(SynchronousTestCase):
    """Which doors are shut when, with doors that only remember it."""

    def setUp(self) -> None:
        self.states: dict[object, str] = {}

        class Remembers:
            def __init__(door, port: object) -> None:
                door.port = port

            def set(door, state: str) -> None:
                self.states[door.port] = state

        self.patch(module, "Door", Remembers)
        self.clock = Clock()
        self.keeper = Doorkeeper(self.clock)
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
        self.listener.watch(port)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port.getHost().port))
