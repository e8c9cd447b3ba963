"""Models for `tcplab.faults.filter`: in memory, with all that can happen to it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.pipeline import HIGH_WATER
from tcplab.protocols import Conversation, Echo, Lines
from tcplab.reactor.stack import bufferedBytes
from tests.faults.test_pipeline import HARMLESS
from tests.support.fault_memory import broken
from tests.support.fault_pipeline import cut, streams

DIRECTIONS = ("downstream", "upstream", "both")


class Plain(Protocol):
    """Twisted's Echo."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class Upper(Protocol):
    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data.upper())


class Switches(Protocol):
    """Give the first bytes, and all that follow, to another protocol."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.protocol = other = Upper()
        other.makeConnection(self.transport)
        other.dataReceived(data)


class Lined(Conversation):
    """An echo of lines."""

    framing = Lines

    def messageReceived(self, message: bytes) -> None:
        self.send(message)


ordered = st.tuples(st.sampled_from(HARMLESS), st.sampled_from(DIRECTIONS)).map(
    lambda each: f"{each[0]},direction={each[1]}"
)


class HarmlessTests(SynchronousTestCase):
    """Whatever stands in the way: every byte, in order, and the end behind it."""

    @settings(deadline=None, derandomize=True, max_examples=150)
    @given(st.lists(ordered, max_size=4), streams, st.floats(0, 0.05))
    def test_stacks(self, stack: list[str], stream: tuple[bytes, set[int]], gap: float) -> None:
        peer, _ = broken(Echo(), *stack)
        for piece in cut(*stream):
            peer.write(piece)
            peer.clock.advance(gap)
        peer.finish()
        for _ in range(400):
            peer.clock.advance(0.05)
        self.assertEqual(peer.value(), stream[0])
        self.assertTrue(peer.ended)
        self.assertFalse(peer.wasReset)
        self.assertIsNone(peer.ending.why)
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(
        st.sampled_from([Echo, Plain]),
        st.lists(
            st.one_of(ordered, st.integers(0, 9), st.floats(0, 0.1), st.just("clear")), max_size=25
        ),
        st.tuples(st.binary(max_size=2000), st.sets(st.integers(0, 2000), max_size=25)),
        st.booleans(),
    )
    def test_comeAndGo(
        self,
        kind: type[Any],
        changes: list[str | int | float],
        stream: tuple[bytes, set[int]],
        reading: bool,
    ) -> None:
        """They come and go on a live connection, whose peer may not read meanwhile."""
        peer, faults = broken(kind())
        peer.reading, peer.window = reading, 100
        names: list[str] = []
        pieces = cut(*stream)
        for change in changes:
            if pieces:
                peer.write(pieces.pop(0))
            if change == "clear":
                faults.clear()
                names.clear()
            elif isinstance(change, str):
                names.append(faults.add(change))
            elif isinstance(change, int) and names:
                faults.remove(names.pop(change % len(names)))
            else:
                peer.clock.advance(change)
        for piece in pieces:
            peer.write(piece)
        peer.resume()
        faults.clear()
        self.assertIs(peer.transport.protocol, peer.protocol)
        self.assertNotIn("write", vars(peer.transport))
        self.assertEqual(peer.value(), stream[0])
        if kind is Echo:
            peer.finish()
            self.assertTrue(peer.ended)
            self.assertIsNone(peer.ending.why)

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(
        st.lists(ordered, max_size=3),
        st.lists(ordered, max_size=3),
        st.integers(0, 300),
        st.sampled_from(["fin", "reset"]),
        streams,
    )
    def test_limited(
        self,
        before: list[str],
        behind: list[str],
        size: int,
        how: str,
        stream: tuple[bytes, set[int]],
    ) -> None:
        """Of whatever is answered exactly so much, then exactly that end."""
        peer, _ = broken(Echo(), *before, f"limit_data,bytes={size},how={how}", *behind)
        for piece in cut(*stream):
            peer.write(piece)
        for _ in range(400):
            peer.clock.advance(0.05)
        self.assertEqual(peer.value(), stream[0][:size])
        if len(stream[0]) >= size:
            self.assertEqual((peer.ending.how, peer.ending.why), (how, "fault"))
            self.assertEqual(peer.clock.getDelayedCalls(), [])
        else:
            self.assertTrue(peer.connected)


class BoundTests(SynchronousTestCase):
    """What a fault holds is bounded."""

    def flood(self, protocol: Any, *faults: str) -> tuple[Any, int]:
        """Send while the server reads; return how much it took."""
        peer, _ = broken(protocol, *faults)
        total = 0
        while not peer._socket.receiveBuffer and total < 2**24:
            peer.write(bytes(65536))
            total += 65536
        return peer, total

    def test_held(self) -> None:
        """What waits stops its own source; what is dropped waits nowhere."""
        least, most = HIGH_WATER - 65536, HIGH_WATER + 3 * 65536
        for protocol, fault, totals in (
            (Echo(), "bandwidth,rate=0", (least, most)),
            (Plain(), "bandwidth,rate=0", (least, most)),
            (Echo(), "latency,latency=1min,direction=upstream", (least, most - 65536)),
            (Echo(), "timeout", (2**24, 2**24)),
        ):
            peer, total = self.flood(protocol, fault)
            self.assertTrue(totals[0] <= total <= totals[1], (fault, total))
            waiting = 0 if fault == "timeout" else HIGH_WATER + 65536
            self.assertLessEqual(bufferedBytes(peer.transport), waiting)

    def test_lines(self) -> None:
        """Messages that arrived in one piece are not all answered at once."""
        peer, _ = broken(Lined(), "bandwidth,rate=0")
        for _ in range(40):
            peer.write(b"x\n" * 32768)
        self.assertLessEqual(bufferedBytes(peer.transport), HIGH_WATER + 65536)

    def test_goesOn(self) -> None:
        """As soon as there is room."""
        peer, _ = broken(Echo(), "latency,latency=100")
        data = bytes(n % 251 for n in range(2**20))
        for start in range(0, len(data), 4096):
            peer.write(data[start : start + 4096])
        self.assertTrue(peer._socket.receiveBuffer)
        for _ in range(100):
            peer.clock.advance(0.1)
        self.assertEqual(peer.value(), data)


class SwitchTests(SynchronousTestCase):
    """``transport.protocol = other`` always works."""

    def test_inTheMiddle(self) -> None:
        """Another protocol takes over: faults act on what it sends, and it receives everything."""
        peer, faults = broken(Switches(), "latency,latency=100,direction=both")
        peer.write(b"a")
        peer.write(b"b")
        for _ in range(3):
            peer.clock.advance(0.1)
            peer.write(b"c")
        self.assertEqual(peer.value(), b"ABC")
        faults.clear()
        self.assertEqual(peer.value(), b"ABCCC")
        self.assertIsInstance(peer.transport.protocol, Upper)

    def test_whileWaiting(self) -> None:
        """What the first one has not received yet, the other one receives."""
        peer, _ = broken(Plain(), "latency,latency=100,direction=upstream")
        peer.write(b"a")
        peer.transport.protocol = other = Upper()
        other.makeConnection(peer.transport)
        peer.transport.write(b"I am another ")
        peer.clock.advance(0.1)
        self.assertEqual(peer.value(), b"I am another A")


class EndTests(SynchronousTestCase):
    """Ends of all kinds, with something in the way."""

    def test_reset(self) -> None:
        """A reset by the peer or by the server overtakes what waits; nothing is left behind."""
        for reset, ours in (
            (lambda peer: peer.reset(), False),
            (lambda peer: peer.protocol.abort("error"), True),
        ):
            peer, _ = broken(Echo(), "latency,latency=100,direction=both")
            peer.write(b"a")
            reset(peer)
            self.assertEqual((peer.value(), peer.wasReset, peer.ending.how), (b"", ours, "reset"))
            self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_hungUp(self) -> None:
        """A polite end waits for what is held, and lingers from when it has left."""
        peer, _ = broken(Conversation(), "latency,latency=10s")
        peer.protocol.write(b"bye")
        peer.protocol.hangUp()
        peer.clock.advance(9.9)
        self.assertEqual((peer.value(), peer.connected), (b"", True))
        peer.clock.advance(0.1)
        self.assertEqual((peer.value(), peer.ended), (b"bye", True))
        peer.clock.advance(1.9)
        self.assertTrue(peer.connected)
        peer.clock.advance(0.1)
        self.assertEqual(peer.ending.why, "linger-timeout")

    def test_deaf(self) -> None:
        """A peer that does not read cannot hold up the end for ever."""
        for how in ("fin", "reset"):
            peer, _ = broken(Echo(), f"limit_data,bytes=20,how={how}")
            peer.reading, peer.window = False, 10
            peer.write(bytes(30))
            for _ in range(50):
                peer.clock.advance(0.1)
            self.assertEqual((peer.ending.how, peer.ending.why), ("reset", "fault"))

    def test_drained(self) -> None:
        """A drain goes through it, too."""
        peer, _ = broken(Lined(), "latency,latency=100")
        peer.write(b"a\n")
        peer.listener.drain()
        peer.clock.advance(0.1)
        self.assertEqual((peer.value(), peer.ended), (b"a\n", True))
