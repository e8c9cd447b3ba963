"""Tests for the look-ups of `tcplab.reactor.clients`."""

from __future__ import annotations

import socket
import threading
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IResolutionReceiver
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.reactor import clients
from tcplab.reactor.clients import NameResolver, useNameResolver

FOUND = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))
SCOPED = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 80, 0, 7))
UNIX = (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", "/s")


@implementer(IResolutionReceiver)
class Receiver:
    def __init__(self) -> None:
        self.addresses: list[Any] = []
        self.complete = False

    def resolutionBegan(self, resolution: Any) -> None:
        self.name = resolution.name
        resolution.cancel()

    def addressResolved(self, address: Any) -> None:
        self.addresses.append(address)

    def resolutionComplete(self) -> None:
        self.complete = True


class ResolverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked: list[Any] = []
        self.answers: dict[str, Any] = {}
        self.lock = threading.Semaphore(0)
        self.results: list[Any] = []
        self.resolver = NameResolver(self, self.lookUp)  # type: ignore[arg-type]

    # The reactor, and the system

    def callFromThread(self, call: Any, *arguments: Any) -> None:
        self.results.append((call, arguments))
        self.lock.release()

    def lookUp(self, host: str, *query: Any) -> Any:
        self.asked.append((host, *query))
        answer = self.answers[host]
        if isinstance(answer, threading.Event):
            answer.wait(60)
            raise socket.gaierror(-3, "no answer")
        return answer

    def deliver(self) -> None:
        self.assertTrue(self.lock.acquire(timeout=60))
        call, arguments = self.results.pop(0)
        call(*arguments)

    def resolve(self, name: str, **more: Any) -> Receiver:
        receiver = Receiver()
        self.resolver.resolveHostName(receiver, name, 80, **more)
        return receiver

    def test_numeric(self) -> None:
        """No thread looks up an address; its scope stays."""
        self.assertEqual(self.resolve("192.0.2.1").addresses, [IPv4Address("TCP", "192.0.2.1", 80)])
        found = self.resolve("fe80::1%lo").addresses[0]
        self.assertEqual((found.host.partition("%")[0], bool(found.scopeID)), ("fe80::1", True))
        self.assertIn("%", found.host)
        self.assertEqual(self.asked, [])

    def test_names(self) -> None:
        """Those that ask for a name share its look-up; another name does not wait for it."""
        self.answers = {"slow": threading.Event(), "fast": [FOUND, SCOPED, UNIX]}
        slow = [self.resolve("slow"), self.resolve("slow")]
        fast = self.resolve("fast", addressTypes=[IPv4Address])
        self.deliver()
        self.assertEqual(fast.name, "fast")
        self.assertEqual(
            fast.addresses,
            [IPv4Address("TCP", "192.0.2.1", 80), IPv6Address("TCP", "fe80::1%7", 80, 0, 7)],
        )
        self.assertEqual([each.complete for each in (*slow, fast)], [False, False, True])
        self.answers["slow"].set()
        self.deliver()
        self.assertEqual([(each.complete, each.addresses) for each in slow], [(True, [])] * 2)
        families = {host: family for host, _, family, _ in self.asked}
        self.assertEqual(families, {"slow": socket.AF_UNSPEC, "fast": socket.AF_INET})

    def test_most(self) -> None:
        """Of too many names the last ones wait."""
        self.patch(clients, "_MOST", 1)
        self.answers = {"slow": threading.Event(), "fast": [FOUND]}
        self.resolve("slow")
        fast = self.resolve("fast")
        self.assertEqual(len(self.asked), 1)
        self.answers["slow"].set()
        self.deliver()
        self.deliver()
        self.assertTrue(fast.addresses)

    def test_use(self) -> None:
        """A reactor without threads keeps its own."""
        useNameResolver(MemoryReactorClock())
