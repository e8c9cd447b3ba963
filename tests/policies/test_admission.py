"""Tests for `tcplab.policies.admission`, in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import admission as admissionmodule
from tcplab.policies.admission import BUSY, FULL, HANDSHAKE_GRACE, HANDSHAKES, Admission
from tests.support.memory_listener import MemoryListener, memoryClock

HOST = "10.0.0.1"


def peers(number: int, start: int = 1) -> Iterable[tuple[str, int]]:
    """Return as many addresses of different peers."""
    return [(f"10.0.{each // 256}.{each % 256}", 40000) for each in range(start, start + number)]


class Admitting(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = memoryClock()
        self.clock.advance(1000)
        self.logged = EventLoggingObserver()
        self.patch(admissionmodule, "log", Logger(observer=self.logged))

    def admission(self, **limits: Any) -> Admission:
        return Admission(clock=self.clock, **limits)

    def watched(self, admission: Admission, tls: bool = False) -> MemoryListener:
        listener = MemoryListener(self.clock, tls)
        admission.watch(listener)
        return listener

    def closeOne(self, listener: MemoryListener) -> None:
        listener.close(next(iter(listener.connections)))

    @property
    def lines(self) -> list[str]:
        return [formatEvent(event) for event in self.logged]

    def assertAre(self, *listeners: tuple[MemoryListener, int, int, list[str]]) -> None:
        """Check connections, clients in the backlog and reasons to be suspended."""
        for listener, connections, backlog, reasons in listeners:
            found = (len(open_(listener)), len(listener.backlog), listener.reasons)
            self.assertEqual(found, (connections, backlog, reasons))


def open_(listener: MemoryListener) -> list[Any]:
    """Return the connections, in the order of accept, without those that are reset."""
    found: list[Any] = [each for each in listener.connections if each.reason is None]
    return sorted(found, key=lambda each: each.accepted)


class MaxConnectionsTests(Admitting):
    def test_accepting(self) -> None:
        """At the limit clients wait, of any listener; each close lets in one."""
        listener = self.watched(admission := self.admission(maxConnections=3))
        listener.connect(*peers(5))
        later = self.watched(admission)
        self.assertAre((listener, 3, 2, [FULL]), (later, 0, 0, [FULL]))
        listener.acceptOne()  # a drain lets in what waits behind a PROXY header
        for connections, backlog in ((4, 2), (3, 2), (3, 1)):
            self.assertAre((listener, connections, backlog, [FULL]))
            self.closeOne(listener)
        listener.close()
        self.assertAre((listener, 0, 0, []), (later, 0, 0, []))
        self.assertEqual((admission.connections, listener.refusals), (0, []))

    def test_twoPolicies(self) -> None:
        """Each suspends a listener for its own reason."""
        both, own = self.admission(maxConnections=3), self.admission(maxConnections=2)
        other, listener = self.watched(both), self.watched(both)
        own.watch(listener)
        other.connect(*peers(1))
        listener.connect(*peers(4))
        self.assertAre((listener, 2, 2, [FULL, FULL]), (other, 1, 0, [FULL]))
        other.close()
        self.assertAre((listener, 2, 2, [FULL]), (other, 0, 0, []))
        other.connect(*peers(2))
        listener.close()
        self.assertAre((listener, 1, 1, [FULL]), (other, 2, 0, [FULL]))
        self.assertEqual((both.connections, own.connections), (3, 1))

    def test_stop(self) -> None:
        """No suspension and no timer is left; then all begins anew."""
        admission = self.admission(maxConnections=2, maxPerPeer=1)
        first, second = self.watched(admission, tls=True), self.watched(admission)
        first.connect(*peers(5))
        self.assertAre((first, 2, 3, [HANDSHAKES, FULL]), (second, 0, 0, [FULL]))
        admission.stop()
        self.assertAre((first, 5, 0, []), (second, 0, 0, []))
        self.assertEqual((admission.connections, first.policies), (0, ()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        first.establish(*first.connections)
        admission.watch(first)
        self.assertEqual((admission.connections, first.reasons), (5, [FULL]))
        first.close()
        second.connect(*peers(5), *peers(5))
        self.assertEqual((admission.connections, admission._peers, first.reasons), (0, {}, []))
        self.assertAre((second, 10, 0, []))

    def test_log(self) -> None:
        """At most once a second, however often the limit is reached."""
        listener = self.watched(admission := self.admission(maxConnections=2))
        listener.connect(*peers(302))
        for _ in range(300):
            self.closeOne(listener)
        text = "paused={} why=max-connections limit=2: new clients wait in the listen queue"
        self.assertEqual(self.lines, [text.format(1)])
        self.clock.advance(1)
        self.assertEqual(self.lines[1:], [text.format(300)])
        listener.close()
        admission.stop()
        self.assertEqual((len(self.lines), self.clock.getDelayedCalls()), (2, []))


class MaxPerPeerTests(Admitting):
    def test_refused(self) -> None:
        """At the limit of a peer, until one of its connections closes; others are accepted."""
        admission = self.admission(maxPerPeer=2, maxConnections=4)
        first, second = self.watched(admission), self.watched(admission)
        for listener in (first, second, first, second):
            listener.connect((HOST, 1))
        self.assertEqual((first.refusals, second.refusals), ([b"busy\r\n"], [BUSY]))
        first.connect(*peers(1, 2))
        self.assertAre((first, 2, 0, []), (second, 1, 0, []))
        second.close()
        first.connect((HOST, 2), (HOST, 3))
        self.assertAre((first, 3, 0, []))

    def test_networks(self) -> None:
        """64 bits of an IPv6 address are one peer."""
        listener = self.watched(self.admission(maxPerPeer=1))
        listener.connect(
            ("2001:db8:0:1::1", 1, 0, 0),
            ("2001:db8:0:1:ffff:ffff:ffff:ffff", 1, 0, 0),
            ("2001:db8:0:2::1", 1, 0, 0),
            (HOST, 1),
            (f"::ffff:{HOST}", 1, 0, 0),
        )
        self.assertEqual((len(listener.connections), len(listener.refusals)), (3, 2))

    def test_peerChanges(self) -> None:
        """A connection counts for the peer that it had at accept, even if that changes."""
        listener = self.watched(admission := self.admission(maxPerPeer=2))
        listener.connect(*peers(9), *peers(9), *peers(9))
        for each in listener.connections:
            each.connection = each.connection._replace(peer=None)
        listener.close()
        _, own = listener.policies
        left = (admission._peers, own._peers, own.handshaking)  # type: ignore[attr-defined]
        self.assertEqual((admission.connections, *left), (0, {}, {}, {}))

    def test_log(self) -> None:
        """At most once a second, with the count and the last peer."""
        listener = self.watched(self.admission(maxPerPeer=1))
        listener.connect(*[(HOST, port) for port in range(100)])
        listener.connect(*[("2001:db8::7", port, 0, 0) for port in range(100)])
        text = "refused={} why=max-per-peer limit=1 last={}"
        self.assertEqual(self.lines, [text.format(1, HOST)])
        self.clock.advance(1)
        self.assertEqual(self.lines[1:], [text.format(98 + 99, "2001:db8::/64")])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class HandshakeTests(Admitting):
    """Unfinished handshakes leave room for others."""

    def handshaking(
        self, number: int, *, watchedLater: bool = False, **limits: Any
    ) -> tuple[Admission, MemoryListener]:
        """Make a listener of TLS with connections in a handshake, 0.1 s one after the other."""
        admission, listener = self.admission(**limits), MemoryListener(self.clock, tls=True)
        if not watchedLater:
            admission.watch(listener)
        for peer in peers(number):
            listener.connect(peer)
            self.clock.advance(0.1)
        admission.watch(listener)
        self.assertEqual(admission.handshakes, number)
        return admission, listener

    def hosts(self, listener: MemoryListener) -> list[str]:
        self.clock.advance(0)
        return sorted(each.client[0] for each in listener.connections)

    def test_evicted(self) -> None:
        """A new connection takes the place of the one that has been longest in its handshake."""
        for watchedLater in (False, True):
            admission, listener = self.handshaking(3, watchedLater=watchedLater, maxHandshakes=3)
            self.assertEqual(listener.reasons, [HANDSHAKES])
            self.clock.advance(5)
            listener.connect(("10.0.9.9", 1))
            for _ in range(2):  # also when its end has been reported
                self.assertEqual((admission.handshakes, admission.connections), (3, 3))
                self.assertEqual(self.hosts(listener), ["10.0.0.2", "10.0.0.3", "10.0.9.9"])
            self.assertEqual((listener.whys, listener.refusals), (["handshake-timeout"], []))

    def test_grace(self) -> None:
        """A young handshake is not evicted: clients wait until one is old enough."""
        admission, listener = self.handshaking(3, maxHandshakes=3)
        listener.connect(("10.0.9.9", 1), ("10.0.9.8", 1))
        self.assertAre((listener, 3, 2, [HANDSHAKES]))
        self.clock.advance(0.69)  # the first was accepted 0.3 s before
        self.assertAre((listener, 3, 2, [HANDSHAKES]))
        self.clock.advance(0.02)
        self.assertAre((listener, 3, 1, [HANDSHAKES]))
        self.assertEqual(self.hosts(listener)[0], "10.0.0.2")
        self.clock.advance(0.1)
        self.assertEqual((listener.backlog, listener.whys), ([], ["handshake-timeout"] * 2))
        self.assertEqual(admission.handshakes, 3)

    def test_established(self) -> None:
        """Such connections are never evicted; accepting pauses when there are no others."""
        admission, listener = self.handshaking(3, maxConnections=3, maxHandshakes=3)
        self.clock.advance(100)
        self.assertEqual(listener.reasons, [])
        for _ in range(2):  # the second time, as after STARTTLS, nothing happens
            listener.establish(*listener.connections)
            self.assertEqual((admission.handshakes, admission.connections), (0, 3))
        self.assertAre((listener, 3, 0, [FULL]))
        self.clock.advance(100)
        listener.connect(*peers(2, 100))
        self.assertAre((listener, 3, 2, [FULL]))
        self.assertEqual(listener.whys, [])

    def test_otherListeners(self) -> None:
        """Without TLS they are not suspended for handshakes; when full they evict them, too."""
        for limit, waiting in ((None, 0), (3, 4)):
            admission, listener = self.handshaking(3, maxConnections=limit, maxHandshakes=3)
            plain = self.watched(admission)
            plain.connect(*peers(4, 100))
            self.assertAre((plain, 4 - waiting, waiting, [FULL] if limit else []))
            self.assertEqual(len(open_(listener)), 3)
        self.clock.pump([0.1] * 12)
        self.assertAre((plain, 3, 1, [FULL]), (listener, 0, 0, [FULL]))

    def test_total(self) -> None:
        """Listeners of TLS share the limit; the oldest handshake of all is evicted."""
        admission, first = self.handshaking(3, maxHandshakes=6)
        second = self.watched(admission, tls=True)
        second.connect(*peers(3, 100))
        self.assertEqual((first.reasons, second.reasons), ([HANDSHAKES], [HANDSHAKES]))
        self.clock.advance(2)
        second.connect(*peers(4, 200))
        self.assertAre((first, 0, 0, []), (second, 6, 0, []))
        self.assertEqual(admission.handshakes, 6)

    def test_refused(self) -> None:
        """A refused connection evicts none; an evicted one does not count for its peer."""
        _, listener = self.handshaking(2, maxHandshakes=2, maxPerPeer=1)
        self.clock.advance(5)
        listener.connect((HOST, 2))
        self.assertEqual((listener.refusals, self.hosts(listener)), ([BUSY], [HOST, "10.0.0.2"]))
        listener.connect(("10.0.9.9", 2), (HOST, 3))
        self.assertEqual(self.hosts(listener), [HOST, "10.0.9.9"])

    def test_log(self) -> None:
        """At most once a second: that connections are evicted, and that clients wait."""
        _, listener = self.handshaking(3, maxHandshakes=3)
        self.clock.advance(2)
        listener.connect(*peers(9, 100))
        self.clock.advance(1)
        paused = "paused=1 why=handshakes limit=3: new clients wait in the listen queue"
        text = "dropped={} why=handshakes unfinished={} limit=3 last=10.0.0.{}"
        self.assertEqual(self.lines[:2], [paused, text.format(1, 3, 1)])
        self.assertIn(text.format(2, 3, 3), self.lines)


class LimitTests(SynchronousTestCase):
    def test_limits(self) -> None:
        """By default half of all connections may be in a handshake."""
        for connections, handshakes in ((None, 2000), (1, 1), (10, 5), (20_000, 10_000)):
            self.assertEqual(Admission(maxConnections=connections).maxHandshakes, handshakes)
        self.assertEqual(Admission(maxConnections=10, maxHandshakes=3).maxHandshakes, 3)
        for name in ("maxConnections", "maxPerPeer", "maxHandshakes"):
            for limit in (0, -1):
                error = self.assertRaises(ValueError, Admission, **{name: limit})
                self.assertEqual(str(error), f"{name} must be 1 at least, not {limit}")


class ModelTests(Admitting):
    """The counts are right and the limits hold, whatever happens in whatever order."""

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["connect", "connect", "establish", "close", "wait"]),
                st.integers(0, 2),
                st.integers(0, 5),
            ),
            max_size=60,
        )
    )
    def test_model(self, events: list[tuple[str, int, int]]) -> None:
        self.clock = memoryClock()
        admission = self.admission(maxConnections=7, maxPerPeer=3, maxHandshakes=4)
        listeners = [self.watched(admission, tls) for tls in (False, True, True)]
        for what, where, number in events:
            listener = listeners[where]
            if what == "wait":
                self.clock.advance(number / 4)
            elif what == "connect":
                listener.connect((f"10.0.0.{number}", 1))
            elif chosen := [
                each for each in open_(listener) if each.established != (what == "establish")
            ]:
                getattr(listener, what)(chosen[number % len(chosen)])
            self.check(admission, listeners)
        for listener in listeners:
            listener.backlog.clear()
            listener.close()
        self.assertEqual((admission.connections, admission._peers), (0, {}))
        self.assertEqual([listener.reasons for listener in listeners], [[], [], []])

    def check(self, admission: Admission, listeners: list[MemoryListener]) -> None:
        there = [each for listener in listeners for each in open_(listener)]
        unfinished = [each for each in there if not each.established]
        self.assertEqual(admission.connections, len(there))
        self.assertLessEqual(len(there), 7)
        self.assertEqual(admission.handshakes, len(unfinished))
        self.assertLessEqual(len(unfinished), 6)  # two more where two listeners have TLS
        hosts = [each.client[0] for each in there]
        self.assertEqual(admission._peers, {host: hosts.count(host) for host in hosts})
        self.assertLessEqual(max(admission._peers.values(), default=0), 3)
        # A listener that has not had two at once could be one without TLS.
        counted = [each for each in unfinished if each.listener.policies[1].hasHandshakes]
        late = any(self.clock.seconds() - each.accepted >= HANDSHAKE_GRACE for each in counted)
        full = len(there) >= 7 and not late
        tooMany = len(counted) >= 4 and not late
        for listener in listeners:
            self.assertEqual(FULL in listener.reasons, full)
            self.assertLessEqual(HANDSHAKES in listener.reasons, tooMany and listener.tls)
            self.assertTrue(listener.reasons or not listener.backlog)
            evicted = [each for each in listener.told.endings if each.why is not None]
            self.assertFalse([each for each in evicted if each.seconds < HANDSHAKE_GRACE])
        paused = any(listener.reasons for listener in listeners)
        self.assertEqual(admission._checks.running, bool(counted) and paused)
