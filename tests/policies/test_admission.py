"""Tests for `tcplab.policies.admission`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import admission as admissionmodule
from tcplab.policies.admission import BUSY, FULL, HANDSHAKE_GRACE, HANDSHAKES, Admission


class FakeTransport:
    """A connection: who it is from, and whether its handshake is through."""

    def __init__(self, listener: FakeListener, address: Any) -> None:
        self.listener = listener
        self.established = False
        self.accepted = listener.clock.seconds()
        self.connection = self
        self.peer: Any = UNIXAddress(None)
        if isinstance(address, tuple):
            kind = IPv6Address if ":" in address[0] else IPv4Address
            self.peer = kind("TCP", *address[:2])

    def setReason(self, why: str) -> None:
        self.listener.why.append(why)

    def abortConnection(self) -> None:
        """End; the end is told later, as a real one's is."""
        self.listener.connections.remove(self)
        self.listener.ages.append(self.listener.clock.seconds() - self.accepted)
        self.listener.clock.callLater(0, self.listener.tell, "connectionClosed", self)


class FakeListener:
    """
    Asks and tells its guards as a listener does, and remembers why it is suspended.

    :param plain: there is no handshake.
    :ivar why: the causes with which connections were ended, and `ages` how old those were.
    """

    def __init__(self, plain: bool = True, clock: Clock | None = None) -> None:
        self.plain = plain
        self.clock = clock or Clock()
        self.why: list[str] = []
        self.ages: list[float] = []
        self.connections: set[FakeTransport] = set()
        self.policies: list[Any] = []
        self._reasons: list[str] = []
        self.backlog: list[Any] = []
        self.goodbyes: list[bytes] = []

    def addPolicy(self, policy: Any) -> None:
        self.policies.append(policy)

    def removePolicy(self, policy: Any) -> None:
        self.policies.remove(policy)

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
        for guard in self.policies:
            goodbye = guard.admit(address)
            if goodbye is not None:
                self.goodbyes.append(goodbye)
                return None
        transport = FakeTransport(self, address)
        self.connections.add(transport)
        self.tell("connectionAccepted", transport)
        if self.plain:
            self.open(transport)
        return transport

    def open(self, *transports: FakeTransport) -> None:
        for transport in transports:
            transport.established = True
            self.tell("connectionOpened", transport)

    def close(self, *transports: FakeTransport) -> None:
        for transport in transports or list(self.connections):
            self.connections.remove(transport)
            self.tell("connectionClosed", transport)

    def tell(self, what: str, transport: FakeTransport) -> None:
        for guard in self.policies:
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
        self.patch(admissionmodule, "log", Logger(observer=self.logged))

    def admission(self, **limits: Any) -> Admission:
        return Admission(clock=self.clock, **limits)

    def watched(self, admission: Admission, plain: bool = True) -> FakeListener:
        listener = FakeListener(plain, self.clock)
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
        admission = self.admission(maxConnections=2, maxHandshakes=9)
        listener = self.watched(admission, plain=False)
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
        self.assertEqual((first._reasons, second._reasons, first.policies), ([], [], []))
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
        _, gate = listener.policies
        self.assertEqual((gate._peers, gate.handshaking), ({}, {}))

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

    def crowd(self, number: int, **limits: Any) -> tuple[Admission, FakeListener]:
        """A listener of TLS with so many in a handshake, 0.1 s from one to the next."""
        admission = self.admission(**limits)
        listener = self.watched(admission, plain=False)
        for peer in peers(number):
            listener.connect(peer)
            self.clock.advance(0.1)
        self.assertEqual(admission.handshakes, number)
        return admission, listener

    def names(self, listener: FakeListener) -> list[str]:
        return sorted(each.peer.host for each in listener.connections)

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

    def test_theOldestGoes(self) -> None:
        """Whoever comes when the room is full takes the place of who has been there longest."""
        admission, listener = self.crowd(3, maxHandshakes=3)
        self.clock.advance(5)
        listener.connect(("10.0.9.9", 1))
        self.assertEqual(self.names(listener), ["10.0.0.2", "10.0.0.3", "10.0.9.9"])
        self.assertEqual((admission.handshakes, admission.connections), (3, 3))
        self.assertEqual((listener.why, listener.goodbyes), (["handshake-timeout"], []))

    def test_nobodyGoesBeforeItsTime(self) -> None:
        """Who is not late yet stays; newcomers wait in the backlog until somebody is."""
        admission, listener = self.crowd(3, maxHandshakes=3)
        listener.connect(("10.0.9.9", 1), ("10.0.9.8", 1))
        self.assertEqual((listener.reasons, listener.why), ([HANDSHAKES], []))
        self.clock.advance(0.69)  # the first came 0.3 s ago
        self.assertEqual((len(listener.backlog), listener.why), (2, []))
        self.clock.advance(0.02)
        self.assertEqual((len(listener.backlog), len(listener.why)), (1, 1))
        self.assertEqual((self.names(listener)[0], listener.reasons), ("10.0.0.2", [HANDSHAKES]))
        self.clock.advance(0.1)
        self.assertEqual((listener.backlog, len(listener.why)), ([], 2))
        self.assertEqual(admission.handshakes, 3)

    def test_nobodyGoesForNobody(self) -> None:
        """However late they are: only a newcomer takes a place."""
        _, listener = self.crowd(3, maxHandshakes=3)
        self.clock.pump([1] * 10)
        self.assertEqual((listener.reasons, listener.why), ([], []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_roomAgain(self) -> None:
        """One that finishes, or leaves, makes room at once."""
        _, listener = self.crowd(3, maxHandshakes=3)
        listener.connect(*peers(2, 100))
        first, second, _ = sorted(listener.connections, key=lambda each: each.accepted)
        listener.open(second)
        self.assertEqual((len(listener.backlog), listener.reasons), (1, [HANDSHAKES]))
        listener.close(first)
        self.assertEqual((listener.backlog, listener.reasons, listener.why), ([], [HANDSHAKES], []))

    def test_whoIsThroughIsNeverDropped(self) -> None:
        """Connections that have finished their handshake keep their place, however full it is."""
        _, listener = self.crowd(3, maxConnections=3, maxHandshakes=3)
        listener.open(*listener.connections)
        self.clock.advance(100)
        listener.connect(*peers(2, 100))
        self.assertEqual((len(listener.backlog), listener.reasons), (2, [FULL]))
        self.assertEqual(listener.why, [])

    def test_fullOfThem(self) -> None:
        """What they occupy of all connections goes to anybody who comes, by whatever listener."""
        admission, listener = self.crowd(3, maxConnections=3, maxHandshakes=3)
        plain = self.watched(admission)
        plain.connect(*peers(4, 100))
        self.assertEqual((plain.reasons, len(plain.connections)), ([FULL], 0))
        self.clock.pump([0.1] * 12)
        self.assertEqual((len(plain.connections), len(listener.connections)), (3, 0))
        self.assertEqual((admission.connections, len(plain.backlog)), (3, 1))
        self.assertEqual(plain.reasons, [FULL])

    def test_finishedWhenFull(self) -> None:
        """When nobody is left who could be put out, accepting pauses."""
        _, listener = self.crowd(2, maxConnections=2, maxHandshakes=2)
        self.clock.advance(2)
        self.assertEqual(listener.reasons, [])
        listener.open(*listener.connections)
        self.assertEqual(listener.reasons, [FULL])

    def test_plainListenersAreSpared(self) -> None:
        """Where there is no handshake nobody waits, and nobody is dropped, for those elsewhere."""
        admission, listener = self.crowd(3, maxHandshakes=3)
        plain = self.watched(admission)
        plain.connect(*peers(100, 100))
        self.assertEqual((len(plain.connections), plain.reasons, listener.why), (100, [], []))

    def test_totalOverAll(self) -> None:
        """Two listeners of TLS share the handshakes that may be; the oldest of all goes."""
        admission, first = self.crowd(3, maxHandshakes=6)
        second = self.watched(admission, plain=False)
        second.connect(*peers(3, 100))
        self.assertEqual((first.reasons, second.reasons), ([HANDSHAKES], [HANDSHAKES]))
        self.clock.advance(2)
        second.connect(*peers(4, 200))
        self.assertEqual((len(first.why), len(second.why)), (3, 1))
        self.assertEqual(admission.handshakes, 6)

    def test_ofThoseWhoWereThere(self) -> None:
        """A listener that is watched later brings its own, in the order in which they came."""
        listener = FakeListener(plain=False, clock=self.clock)
        for peer in peers(3):
            listener.connect(peer)
            self.clock.advance(1)
        admission = self.admission(maxHandshakes=3)
        admission.watch(listener)  # type: ignore[arg-type]
        listener.connect(("10.0.9.9", 1))
        self.assertEqual(self.names(listener), ["10.0.0.2", "10.0.0.3", "10.0.9.9"])

    def test_perPeerFirst(self) -> None:
        """Who is refused takes nobody's place."""
        _, listener = self.crowd(2, maxHandshakes=2, maxPerPeer=1)
        self.clock.advance(5)
        listener.connect(("10.0.0.1", 2))
        self.assertEqual((listener.goodbyes, listener.why), ([BUSY], []))
        listener.connect(("10.0.9.9", 2), ("10.0.0.1", 3))  # its place was taken: it may come again
        self.assertEqual((self.names(listener), len(listener.why)), (["10.0.0.1", "10.0.9.9"], 2))

    def test_stopped(self) -> None:
        """No timer and no reason is left."""
        admission, listener = self.crowd(3, maxHandshakes=3)
        self.assertEqual(listener.reasons, [HANDSHAKES])
        admission.stop()
        self.assertEqual((listener._reasons, listener.policies), ([], []))
        self.assertEqual([call.getTime() for call in self.clock.getDelayedCalls()], [])

    def test_usualNumber(self) -> None:
        """Half of what may be open: the other half is for those who need no handshake."""
        for connections, handshakes in ((None, 2000), (1, 1), (10, 5), (20_000, 10_000)):
            admission = self.admission(maxConnections=connections)
            self.assertEqual(admission.maxHandshakes, handshakes)
        self.assertEqual(self.admission(maxConnections=10, maxHandshakes=3).maxHandshakes, 3)

    def test_log(self) -> None:
        """Those who are dropped, and that others wait, is told at most once a second."""
        _, listener = self.crowd(3, maxHandshakes=3)
        self.clock.advance(2)
        listener.connect(*peers(9, 100))
        self.clock.advance(1)
        paused = "paused=1 why=handshakes limit=3: who connects waits in the backlog"
        text = "dropped={} why=handshakes unfinished={} limit=3 last=10.0.0.{}"
        self.assertEqual(self.lines()[:2], [paused, text.format(1, 3, 1)])
        self.assertIn(text.format(2, 3, 3), self.lines())


class LimitTests(SynchronousTestCase):
    """What makes no sense is told at once."""

    def test_tooLow(self) -> None:
        for name in ("maxConnections", "maxPerPeer", "maxHandshakes"):
            for limit in (0, -1):
                error = self.assertRaises(ValueError, Admission, **{name: limit})
                self.assertEqual(str(error), f"{name} must be 1 at least, not {limit}")


class ModelTests(Admitting):
    """Whatever happens in whatever order, the counts are right and the limits hold."""

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["connect", "connect", "open", "close", "wait"]),
                st.integers(0, 2),
                st.integers(0, 5),
            ),
            max_size=60,
        )
    )
    def test_model(self, events: list[tuple[str, int, int]]) -> None:
        self.clock = Clock()
        admission = self.admission(maxConnections=6, maxPerPeer=3, maxHandshakes=4)
        listeners = [self.watched(admission, plain) for plain in (True, False, False)]
        for what, where, number in events:
            listener = listeners[where]
            if what == "wait":
                self.clock.advance(number / 4)
            elif what == "connect":
                listener.connect((f"10.0.0.{number}", 1))
            elif chosen := [
                each for each in listener.connections if each.established != (what == "open")
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
        unfinished = [each for each in there if not each.established]
        self.assertEqual(admission.connections, len(there))
        self.assertLessEqual(len(there), 6)
        self.assertEqual(admission.handshakes, len(unfinished))
        self.assertLessEqual(len(unfinished), 5)  # one more where two listeners have TLS
        hosts = [each.peer.host for each in there]
        self.assertEqual(admission._peers, {host: hosts.count(host) for host in hosts})
        self.assertLessEqual(max(admission._peers.values(), default=0), 3)
        # A listener that has not had two at once could be one without TLS.
        counted = [each for each in unfinished if each.listener.policies[1].hasHandshakes]
        late = any(self.clock.seconds() - each.accepted >= HANDSHAKE_GRACE for each in counted)
        full = len(there) >= 6 and not late
        crowded = len(counted) >= 4 and not late
        for listener in listeners:
            self.assertEqual(FULL in listener.reasons, full)
            self.assertLessEqual(HANDSHAKES in listener.reasons, crowded and not listener.plain)
            self.assertTrue(listener.reasons or not listener.backlog)
            self.assertGreaterEqual(min(listener.ages, default=HANDSHAKE_GRACE), HANDSHAKE_GRACE)
        self.assertEqual(bool(self.timers()), bool(counted) and (full or crowded))

    def timers(self) -> list[object]:
        """The calls that wait to look again, and none of a summary or an end."""
        calls = self.clock.getDelayedCalls()
        return [call for call in calls if getattr(call.func, "__name__", "") == "_run"]
