"""Tests for `tcplab.faults.listenerfaults`."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults import Hang, ListenerFault, Refuse, listenerfaults
from tcplab.faults.listenerfaults import ListenerFaults
from tcplab.faults.spec import parseFault
from tcplab.listener.listener import Listener
from tcplab.observers import Observers
from tcplab.protocols import ConversationFactory, Greeting
from tests.support.fault_ports import HELLO, SYN_SENT, FaultyPortTests, connect, greeted, stateOf
from tests.support.fault_server import Breaking, Heard, exchange


class PortTests(FaultyPortTests):
    """One port."""

    async def test_pending(self) -> None:
        """A client that connected before the fault began is accepted."""
        await self.servePort()
        with connect(self.address) as early:
            self.faulty.set(Refuse())
            self.listener.suspend("test")
            early.setblocking(True)
            self.assertEqual(await self.talk(early.recv, 100), HELLO)
        self.set(None)

    async def test_oneAfterAnother(self) -> None:
        """One takes the place of another; none acts on a port that listens no more."""
        await self.servePort()
        self.set(Hang())
        self.set(Refuse())
        with self.assertRaises(ConnectionRefusedError):
            await self.talk(greeted, self.address)
        self.set(Hang())
        with connect(self.address) as sock:
            self.assertEqual(stateOf(sock), SYN_SENT)
        self.set(None)
        await self.assertServed()
        await self.port.stopListening()
        self.faulty.set(Refuse())
        self.faulty.set(None)


class ListenerFaultsTests(SynchronousTestCase):
    """Which fault acts on which port when, with ports that only remember it."""

    def setUp(self) -> None:
        self.acting: dict[object, str | None] = {}

        class Remembers:
            def __init__(faulty, port: object) -> None:
                faulty.port = port

            def set(faulty, fault: ListenerFault | None) -> None:
                self.acting[faulty.port] = None if fault is None else fault.kind

        self.patch(listenerfaults, "FaultyPort", Remembers)
        self.heard = Heard()
        self.clock = Clock()
        self.faults = ListenerFaults(self.clock)
        self.listeners = [self.listener("a"), self.listener("b")]
        for listener in self.listeners:
            self.faults.watch(listener)

    def listener(self, name: str) -> Any:
        class OfOnePort(Listener):
            ports = [name]

        return OfOnePort(name, Observers(self.heard))

    def add(self, name: str, text: str) -> None:
        self.faults.add(name, parseFault(text))

    def seen(self, seconds: int) -> list[str | None]:
        """Return what acts on the first port now, and after each of so many seconds."""
        seen = []
        for _ in range(seconds + 1):
            seen.append(self.acting["a"])
            self.clock.advance(1)
        return seen

    def test_both(self) -> None:
        """On all listeners, unless one is named; such a listener accepts no connection."""
        self.assertEqual(self.acting, {"a": None, "b": None})
        self.add("x", "refuse")
        self.assertEqual(self.acting, {"a": "refuse", "b": "refuse"})
        self.assertTrue(self.listeners[0].suspended)
        self.faults.remove("x")
        self.add("y", "hang@b")
        self.assertEqual(self.acting, {"a": None, "b": "hang"})
        self.assertEqual([each.suspended for each in self.listeners], [False, True])

    def test_schedule(self) -> None:
        """A fault that is removed before its time leaves no timer."""
        self.add("x", "refuse,after=2s,for=3s")
        self.assertEqual(self.seen(6), [None] * 2 + ["refuse"] * 3 + [None] * 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.add("y", "refuse,after=2s")
        self.faults.remove("y")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_precedence(self) -> None:
        """Of several the worse one; the other one when that ends."""
        self.add("x", "hang")
        self.add("y", "refuse,for=1s")
        self.assertEqual(self.seen(1), ["refuse", "hang"])
        self.faults.remove("x")
        self.assertIsNone(self.acting["a"])

    def test_newPort(self) -> None:
        self.add("x", "hang")
        self.listeners[0].ports.append("a6")
        self.faults.update(self.listeners[0])
        self.assertEqual(self.acting["a6"], "hang")

    def test_reported(self) -> None:
        """Once for each listener that it hits, also for one that is watched later."""
        self.add("x", "hang")
        self.add("y", "hang@c")
        self.faults.watch(self.listener("c"))
        hits = [text for _, text in self.heard.hits]
        self.assertEqual(hits, [*(f"x listener={name}" for name in "abc"), "y listener=c"])

    def test_time(self) -> None:
        """It passes only while there is a listener; with a new one it begins anew."""
        self.add("x", "refuse,after=2s,for=1s")
        self.clock.advance(1)
        for listener in self.listeners:
            self.faults.forget(listener)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.faults.watch(self.listeners[0])
        self.assertEqual(self.seen(1), [None, None])
        self.assertEqual(self.acting["a"], "refuse")
        self.faults.forget(self.listeners[0])
        self.assertEqual((self.acting["a"], self.clock.getDelayedCalls()), (None, []))
        self.assertFalse(self.listeners[0].suspended)

    def test_noClock(self) -> None:
        """Nor before there is a clock: that of the first port."""
        faults = ListenerFaults(None)
        faults.add("x", parseFault("refuse,after=1s,for=1s"))
        faults.watch(self.listeners[0])
        faults.add("y", parseFault("hang"))
        self.assertIsNone(self.acting["a"])
        for _ in range(2):
            faults.useClock(self.clock)
        self.assertEqual(self.seen(2), ["hang", "refuse", "hang"])


class ServedTests(Breaking):
    """On real sockets."""

    async def test_refuse(self) -> None:
        """The ports that there are, and one that listens later; one hit is reported."""
        told = await self.serveBroken(ConversationFactory(Greeting), "refuse")
        later = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(
            ConversationFactory(Greeting)
        )
        self.addCleanup(later.stopListening)
        self.listener.addPort(later)
        for port in (self.port, later):
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port.getHost().port))
        self.faults.clear()
        got = await self.talk(exchange, self.connect(), b"")
        self.assertEqual(got, (HELLO, "fin"))
        self.assertEqual(told.hits, [(None, "refuse listener=test")])
