"""Tests for `tcplab.policies.admission`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import admission as module
from tcplab.policies.admission import BUSY, FULL, Admission, peerOf


class FakeTransport:
    """A connection: who it is from, and whether its handshake is through."""

    def __init__(self, address: Any, opened: bool) -> None:
        self.opened = opened
        self.connection = self
        self.peer: Any = UNIXAddress(None)
        if isinstance(address, tuple):
            kind = IPv6Address if ":" in address[0] else IPv4Address
            self.peer = kind("TCP", *address[:2])


class FakeListener:
    """
    Asks and tells its guards as a listener does, and remembers why it is suspended.

    :param plain: there is no handshake.
    """

    def __init__(self, plain: bool = True) -> None:
        self.plain = plain
        self.connections: set[FakeTransport] = set()
        self.guards: list[Any] = []
        self._reasons: list[str] = []
        self.backlog: list[Any] = []
        self.goodbyes: list[bytes] = []

    def guard(self, guard: object) -> None:
        self.guards.append(guard)

    def suspend(self, reason: str) -> None:
        if reason not in self._reasons:
            self._reasons.append(reason)

    def resume(self, reason: str) -> None:
        self._reasons.remove(reason)
        self.accept()

    @property
    def reasons(self) -> list[str]:
        """Why it is suspended, without what tells one `Admission` from another."""
        return [reason.partition(" ")[0] for reason in self._reasons]

    def connect(self, *addresses: Any) -> None:
        """Have them connect: they are accepted unless it is suspended."""
        self.backlog += addresses
        self.accept()

    def accept(self) -> None:
        while self.backlog and not self.reasons:
            self.welcome(self.backlog.pop(0))

    def welcome(self, address: Any) -> FakeTransport | None:
        for guard in self.guards:
            goodbye = guard.admit(address)
            if goodbye is not None:
                self.goodbyes.append(goodbye)
                return None
        transport = FakeTransport(address, False)
        self.connections.add(transport)
        self.tell("connectionAccepted", transport)
        if self.plain:
            self.open(transport)
        return transport

    def open(self, transport: FakeTransport) -> None:
        transport.opened = True
        self.tell("connectionOpened", transport)

    def close(self, *transports: FakeTransport) -> None:
        for transport in transports or list(self.connections):
            self.connections.remove(transport)
            self.tell("connectionGone", transport)

    def tell(self, what: str, transport: FakeTransport) -> None:
        for guard in self.guards:
            getattr(guard, what)(transport)


def peers(number: int, start: int = 1) -> Iterable[tuple[str, int]]:
    """Name as many, each with an address of its own."""
    return [(f"10.0.{each // 256}.{each % 256}", 40000) for each in range(start, start + number)]


class Admitting(SynchronousTestCase):
    """Watch listeners, and keep what is logged."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.logged = EventLoggingObserver()
        self.patch(module, "log", Logger(observer=self.logged))

    def admission(self, **limits: Any) -> Admission:
        return Admission(clock=self.clock, **limits)

    def watched(self, admission: Admission, plain: bool = True) -> FakeListener:
        listener = FakeListener(plain)
        admission.watch(listener)  # type: ignore[arg-type]
        return listener

    def lines(self) -> list[str]:
        return [formatEvent(event) for event in self.logged]


class MaxConnectionsTests(Admitting):
    """Above the limit clients wait; nobody is sent away."""

    def test_theRestWaits(self) -> None:
        """With as many as are allowed it accepts no more."""
        listener = self.watched(admission := self.admission(maxConnections=3))
        listener.connect(*peers(5))
        self.assertEqual((admission.connections, len(listener.connections)), (3, 3))
        self.assertEqual((len(listener.backlog), listener.goodbyes), (2, []))
        self.assertEqual(listener.reasons, ["max-connections"])

    def test_oneLeaves(self) -> None:
        """Then one who waits is served, and the next waits on."""
        listener = self.watched(admission := self.admission(maxConnections=3))
        listener.connect(*peers(5))
        listener.close(next(iter(listener.connections)))
        self.assertEqual((admission.connections, len(listener.backlog)), (3, 1))
        self.assertEqual(listener.reasons, [FULL])
        listener.close()
        self.assertEqual((admission.connections, listener.backlog, listener.reasons), (1, [], []))

    def test_totalOverAll(self) -> None:
        """The limit is for all listeners together, and all are suspended and resumed."""
        admission = self.admission(maxConnections=3)
        first, second = self.watched(admission), self.watched(admission)
        first.connect(*peers(2))
        self.assertEqual((first.reasons, second.reasons), ([], []))
        second.connect(*peers(1))
        self.assertEqual((first.reasons, second.reasons), ([FULL], [FULL]))
        first.close(next(iter(first.connections)))
        self.assertEqual((first.reasons, second.reasons), ([], []))

    def test_watchedWhenFull(self) -> None:
        """One that is watched later is suspended at once."""
        admission = self.admission(maxConnections=1)
        self.watched(admission).connect(*peers(1))
        self.assertEqual(self.watched(admission).reasons, [FULL])

    def test_watchedWithConnections(self) -> None:
        """Those count that a listener has when it is watched, and leave as others do."""
        listener = FakeListener()
        listener.connect(*peers(3))
        admission = self.admission(maxConnections=2, maxPerPeer=1)
        admission.watch(listener)  # type: ignore[arg-type]
        self.assertEqual((admission.connections, listener.reasons), (3, [FULL]))
        listener.close(next(iter(listener.connections)))
        self.assertEqual(listener.reasons, [FULL])
        listener.close()
        self.assertEqual((admission.connections, listener.reasons), (0, []))

    def test_watchedTwice(self) -> None:
        """That is the same as once."""
        listener = self.watched(admission := self.admission(maxConnections=2))
        admission.watch(listener)  # type: ignore[arg-type]
        listener.connect(*peers(3))
        self.assertEqual((admission.connections, listener.reasons), (2, [FULL]))

    def test_handshakesCount(self) -> None:
        """Those in a handshake take their place too."""
        listener = self.watched(admission := self.admission(maxConnections=2), plain=False)
        listener.connect(*peers(3))
        self.assertEqual((admission.connections, admission.handshakes), (2, 2))
        self.assertEqual(listener.reasons, [FULL])

    def test_twoLimits(self) -> None:
        """Of two that watch a listener each has its own say."""
        both, own = self.admission(maxConnections=3), self.admission(maxConnections=2)
        other, listener = self.watched(both), self.watched(both)
        own.watch(listener)  # type: ignore[arg-type]
        other.connect(*peers(1))
        listener.connect(*peers(4))
        self.assertEqual((listener.reasons, other.reasons), ([FULL] * 2, [FULL]))
        self.assertEqual((both.connections, own.connections), (3, 2))
        other.close()
        self.assertEqual((listener.reasons, other.reasons), ([FULL], []))
        other.connect(*peers(2))
        listener.close()
        self.assertEqual((len(other.connections), len(listener.connections)), (2, 1))
        self.assertEqual((both.connections, own.connections), (3, 1))

    def test_stop(self) -> None:
        """It can be stopped, and begin anew."""
        admission = self.admission(maxConnections=2, maxPerPeer=1)
        first, second = self.watched(admission), self.watched(admission)
        first.connect(*peers(5))
        admission.stop()
        self.assertEqual((first._reasons, second._reasons, first.guards), ([], [], []))
        self.assertEqual((admission.connections, len(first.connections)), (0, 5))
        admission.watch(first)  # type: ignore[arg-type]
        self.assertEqual((admission.connections, first.reasons), (5, [FULL]))
        first.close()
        self.assertEqual((admission.connections, admission._peers, first.reasons), (0, {}, []))
        second.connect(*peers(5), *peers(5))
        self.assertEqual((admission.connections, len(second.connections)), (0, 10))

    def test_noLimit(self) -> None:
        """Without one everybody is let in."""
        listener = self.watched(admission := self.admission())
        listener.connect(*peers(2000))
        self.assertEqual((admission.connections, listener.reasons), (2000, []))

    def test_log(self) -> None:
        """It is told, at most once a second, however often the limit is reached."""
        listener = self.watched(admission := self.admission(maxConnections=2))
        listener.connect(*peers(1002))
        for _ in range(1000):
            listener.close(next(iter(listener.connections)))
        text = "paused={} why=max-connections limit=2: who connects waits in the backlog"
        self.assertEqual(self.lines(), [text.format(1)])
        self.clock.advance(1)
        self.assertEqual(self.lines()[1:], [text.format(1000)])
        listener.close()
        admission.stop()
        self.assertEqual(len(self.lines()), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class MaxPerPeerTests(Admitting):
    """A peer that has enough is told, and sent away."""

    def test_refused(self) -> None:
        """Above the limit with a goodbye; others are let in."""
        listener = self.watched(admission := self.admission(maxPerPeer=2))
        listener.connect(*[("10.0.0.1", port) for port in range(1, 6)], ("10.0.0.2", 1))
        self.assertEqual(listener.goodbyes, [b"busy\r\n"] * 3)
        self.assertEqual((admission.connections, listener.reasons), (3, []))

    def test_letInAgain(self) -> None:
        """When one of its connections is gone."""
        listener = self.watched(self.admission(maxPerPeer=1))
        listener.connect(("10.0.0.1", 1), ("10.0.0.1", 2))
        listener.close()
        listener.connect(("10.0.0.1", 3), ("10.0.0.1", 4))
        self.assertEqual((len(listener.connections), listener.goodbyes), (1, [BUSY] * 2))

    def test_refusedAreNotConnections(self) -> None:
        """They take nobody's place."""
        listener = self.watched(self.admission(maxConnections=2, maxPerPeer=1))
        listener.connect(*[("10.0.0.1", port) for port in range(1, 100)])
        self.assertEqual((len(listener.goodbyes), listener.reasons), (98, []))
        listener.connect(("10.0.0.2", 1))
        self.assertEqual(len(listener.connections), 2)

    def test_totalOverAll(self) -> None:
        """A peer's connections to all listeners count together."""
        admission = self.admission(maxPerPeer=2)
        first, second = self.watched(admission), self.watched(admission)
        for listener in (first, second, first, second):
            listener.connect(("10.0.0.1", 1))
        self.assertEqual((first.goodbyes, second.goodbyes), ([BUSY], [BUSY]))

    def test_networks(self) -> None:
        """64 bits of an IPv6 address are one peer; an IPv4-mapped one is IPv4."""
        listener = self.watched(self.admission(maxPerPeer=1))
        listener.connect(
            ("2001:db8:0:1::1", 1, 0, 0),
            ("2001:db8:0:1:ffff:ffff:ffff:ffff", 1, 0, 0),
            ("2001:db8:0:2::1", 1, 0, 0),
            ("10.0.0.1", 1),
            ("::ffff:10.0.0.1", 1, 0, 0),
        )
        self.assertEqual((len(listener.connections), len(listener.goodbyes)), (3, 2))

    def test_unix(self) -> None:
        """Those of a Unix socket cannot be told apart, and are not counted."""
        listener = self.watched(admission := self.admission(maxPerPeer=1, maxConnections=10))
        listener.connect("", "", b"", "/path", b"\0name")
        self.assertEqual((admission.connections, listener.goodbyes), (5, []))

    def test_nothingIsKept(self) -> None:
        """Nothing grows with the peers that have come and gone."""
        listener = self.watched(admission := self.admission(maxPerPeer=2))
        for start in range(0, 2000, 100):
            listener.connect(*peers(100, start), *peers(100, start), *peers(50, start))
            listener.close()
        self.assertEqual((admission.connections, admission._peers), (0, {}))
        [gate] = listener.guards
        self.assertEqual((gate._peers, gate.unfinished), ({}, set()))

    def test_announcedMeanwhile(self) -> None:
        """A peer counts as who it was when it came, whatever is told of it later."""
        listener = self.watched(admission := self.admission(maxPerPeer=1))
        listener.connect(("10.0.0.1", 1))
        [transport] = listener.connections
        transport.peer = IPv4Address("TCP", "192.0.2.1", 1)
        listener.close()
        self.assertEqual(admission._peers, {})

    def test_log(self) -> None:
        """Refusals are told at most once a second, with a count and the last of them."""
        listener = self.watched(self.admission(maxPerPeer=1))
        listener.connect(*[("10.0.0.1", port) for port in range(100)])
        listener.connect(*[("2001:db8::7", port, 0, 0) for port in range(100)])
        text = "refused={} why=max-per-peer limit=1 last={}"
        self.assertEqual(self.lines(), [text.format(1, "10.0.0.1")])
        self.clock.advance(1)
        self.assertEqual(self.lines()[1:], [text.format(98 + 99, "2001:db8::/64")])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class HandshakeTests(Admitting):
    """Those who do not finish their handshake leave room for others."""

    def chances(self, *chances: float) -> Callable[[], float]:
        left = list(chances)
        return lambda: left.pop(0)

    def crowded(self, number: int, chance: Callable[[], float]) -> FakeListener:
        """A listener of TLS that may have 20 handshakes, and has so many."""
        admission = self.admission(maxHandshakes=20, chance=lambda: 0.999999)
        listener = self.watched(admission, plain=False)
        listener.connect(*peers(number))
        self.assertEqual(admission.handshakes, number)
        admission._chance = chance
        return listener

    def test_counted(self) -> None:
        """From accept to the end of the handshake, or of the connection."""
        listener = self.watched(admission := self.admission(), plain=False)
        listener.connect(*peers(3))
        first, second, _ = listener.connections
        listener.open(first)
        self.assertEqual(admission.handshakes, 2)
        listener.close(second)
        self.assertEqual((admission.handshakes, admission.connections), (1, 2))
        listener.close()
        self.assertEqual((admission.handshakes, admission.connections), (0, 0))

    def test_neverBelowTheHalf(self) -> None:
        """Until half of the handshakes that may be are under way, nobody is dropped."""
        for number in range(11):
            listener = self.crowded(number, lambda: 0.0)
            listener.connect(("10.9.9.9", 1))
            self.assertEqual(listener.goodbyes, [], number)

    def test_linear(self) -> None:
        """From there the chance to be dropped rises evenly, and reaches 1."""
        for number in range(10, 20):
            chance = (number - 10) / 10
            listener = self.crowded(number, self.chances(chance, max(0.0, chance - 1e-9)))
            listener.welcome(("10.9.9.9", 1))
            self.assertEqual(listener.goodbyes, [], number)
            listener.close(*[each for each in listener.connections if each.peer.port == 1])
            listener.welcome(("10.9.9.9", 1))
            self.assertEqual(listener.goodbyes, [b""] if number > 10 else [], number)

    def test_neverAboveTheWhole(self) -> None:
        """Full is full, whatever the dice say."""
        listener = self.crowded(20, lambda: 1 - 2**-53)
        listener.connect(*peers(100, 1000))
        self.assertEqual((len(listener.connections), listener.goodbyes), (20, [b""] * 100))

    def test_distribution(self) -> None:
        """With the dice that it has, a crowd of three quarters drops half."""
        admission = self.admission(maxHandshakes=20)
        listener = self.watched(admission, plain=False)
        while admission.handshakes < 15:
            listener.connect(("10.0.0.1", 1))
        listener.goodbyes.clear()
        for _ in range(2000):
            for let in filter(None, [listener.welcome(("10.0.0.1", 1))]):
                listener.close(let)
        # 2,000 throws of a coin: outside of this once in 10^18 times.
        self.assertTrue(800 < len(listener.goodbyes) < 1200, len(listener.goodbyes))

    def test_plainListenersAreSpared(self) -> None:
        """Where there is no handshake nobody is dropped for those elsewhere."""
        listener = self.crowded(20, lambda: 0.0)
        [admission] = {gate._admission for gate in listener.guards}
        plain = self.watched(admission)
        plain.connect(*peers(100))
        self.assertEqual((len(plain.connections), plain.goodbyes), (100, []))

    def test_totalOverAll(self) -> None:
        """Two listeners of TLS share the handshakes that may be."""
        listener = self.crowded(20, lambda: 0.5)
        [admission] = {gate._admission for gate in listener.guards}
        other = self.watched(admission, plain=False)
        other.connect(*peers(100))
        self.assertLessEqual(admission.handshakes, 21)

    def test_usualNumber(self) -> None:
        """As many as may be open: half of them are never dropped, nor is a burst of a thousand."""
        for connections, handshakes in ((None, 2000), (10, 2000), (2001, 2001), (20_000, 20_000)):
            admission = self.admission(maxConnections=connections)
            self.assertEqual(admission.maxHandshakes, handshakes)
        self.assertEqual(self.admission(maxConnections=10, maxHandshakes=3).maxHandshakes, 3)

    def test_log(self) -> None:
        """Those who are dropped are told, at most once a second."""
        listener = self.crowded(20, lambda: 0.0)
        listener.connect(*peers(100))
        self.clock.advance(1)
        text = "dropped={} why=handshakes unfinished=20 limit=20 last={}"
        self.assertEqual(self.lines(), [text.format(1, "10.0.0.1"), text.format(99, "10.0.0.100")])


class LimitTests(SynchronousTestCase):
    """What makes no sense is told at once."""

    def test_tooLow(self) -> None:
        for name in ("maxConnections", "maxPerPeer", "maxHandshakes"):
            for limit in (0, -1):
                error = self.assertRaises(ValueError, Admission, **{name: limit})
                self.assertEqual(str(error), f"{name} must be 1 at least, not {limit}")

    def test_usualDice(self) -> None:
        """They are Python's, and throw what `Admission` expects."""
        chance = Admission()._chance
        self.assertTrue(all(0 <= chance() < 1 for _ in range(1000)))


class PeerOfTests(SynchronousTestCase):
    """Who counts as one peer."""

    def test_ipv4(self) -> None:
        self.assertEqual(peerOf(("192.0.2.1", 40000)), "192.0.2.1")

    def test_ipv6(self) -> None:
        """The network that its first 64 bits name."""
        for host in ("2001:db8::1", "2001:db8:0:0:ffff::", "2001:db8::%eth0"):
            self.assertEqual(peerOf((host, 1, 0, 0)), "2001:db8::/64")
        self.assertEqual(peerOf(("::1", 1, 0, 0)), "::/64")

    def test_mapped(self) -> None:
        """RFC 4291, 2.5.5.2."""
        for host in ("::ffff:192.0.2.1", "::ffff:c000:201"):
            self.assertEqual(peerOf((host, 1, 0, 0)), "192.0.2.1")

    def test_unix(self) -> None:
        for address in ("", b"", "/run/x", b"\0x", None, (b"/run/x", None), ("", None), ()):
            self.assertIsNone(peerOf(address), address)


class ModelTests(Admitting):
    """Whatever happens in whatever order, the counts are right and the limits hold."""

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["connect", "connect", "open", "close"]),
                st.integers(0, 2),
                st.integers(0, 5),
            ),
            max_size=60,
        )
    )
    def test_model(self, events: list[tuple[str, int, int]]) -> None:
        admission = self.admission(maxConnections=6, maxPerPeer=3, maxHandshakes=4)
        listeners = [self.watched(admission, plain) for plain in (True, False, False)]
        for what, where, number in events:
            listener = listeners[where]
            if what == "connect":
                listener.connect((f"10.0.0.{number}", 1))
            elif chosen := [
                each for each in listener.connections if each.opened != (what == "open")
            ]:
                (listener.open if what == "open" else listener.close)(chosen[number % len(chosen)])
            self.check(admission, listeners)
        for listener in listeners:
            listener.backlog.clear()
            listener.close()
        self.assertEqual((admission.connections, admission._peers), (0, {}))
        self.assertEqual([listener.reasons for listener in listeners], [[], [], []])

    def check(self, admission: Admission, listeners: list[FakeListener]) -> None:
        there = [each for listener in listeners for each in listener.connections]
        self.assertEqual(admission.connections, len(there))
        self.assertLessEqual(len(there), 6)
        self.assertEqual(admission.handshakes, sum(not each.opened for each in there))
        self.assertLessEqual(admission.handshakes, 5)  # one more where two listeners have TLS
        hosts = [each.peer.host for each in there]
        self.assertEqual(admission._peers, {host: hosts.count(host) for host in hosts})
        self.assertLessEqual(max(admission._peers.values(), default=0), 3)
        full = [FULL] if len(there) >= 6 else []
        self.assertEqual([listener.reasons for listener in listeners], [full] * 3)
        self.assertTrue(full or not any(listener.backlog for listener in listeners))
