"""Tests for `tcplab.protocols.paired`."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols import Lines, paired
from tcplab.protocols.paired import PairedConversation
from tcplab.testing import Peer, connected


class Side(PairedConversation):
    """Pass everything on."""

    def messageReceived(self, message: bytes) -> None:
        self._other.send(message)

    def readConnectionLost(self) -> None:
        self._other._forwardFin()
        if self._finForwarded:
            self.hangUp()


class LinedSide(Side):
    framing = Lines


class Joining(SynchronousTestCase):
    def joined(self, kind: type[Side] = Side) -> tuple[Peer, Peer]:
        first, second = connected(kind), connected(kind)
        first.protocol._pair(second.protocol)
        second.protocol._pair(first.protocol)
        return first, second


class FlowTests(Joining):
    def test_whatOneCannotSendStopsWhatTheOtherReads(self) -> None:
        first, second = self.joined()
        second.reading = False
        first.write(b"x" * 1_000_000)
        self.assertTrue(first.protocol.flow.paused)
        self.assertFalse(second.protocol.flow.paused)
        self.assertLess(first.transport.received, 200_000)

    def test_itGoesOnWhenAllHasGone(self) -> None:
        first, second = self.joined()
        second.reading = False
        first.finish(b"x" * 1_000_000)
        for _ in range(100):
            second.resume()
            first.value()
        self.assertEqual(len(second.value()), 1_000_000)
        self.assertTrue(second.ended)

    def test_messagesThatAreHereWaitToo(self) -> None:
        first, second = self.joined(LinedSide)
        second.reading = False
        second.window = 0
        first.write(b"x" * 20_000 + b"\n" + b"y" * 20_000 + b"\nz\n")
        self.assertNotIn(b"z", b"".join(second.transport._tempDataBuffer))
        second.window = 65536
        second.resume()
        self.assertTrue(second.value().endswith(b"y\nz\n"))

    def test_everyReasonNotToReadMustGo(self) -> None:
        first, second = self.joined()
        flow = first.protocol.flow
        flow.pause("one")
        flow.pause("another")
        first.write(b"hi")
        flow.resume("one")
        flow.resume("one")
        first.value()
        self.assertEqual(second.value(), b"")
        flow.resume("another")
        first.value()
        self.assertEqual(second.value(), b"hi")

    def test_whatComesAllTheSameWaitsInItsPlace(self) -> None:
        for kind in (Side, LinedSide):
            first, second = self.joined(kind)
            first.protocol.flow.pause("for once")
            for word in (b"one\n", b"two\n"):  # TLS delivers what it has decrypted
                first.protocol.dataReceived(word)
            first.protocol.readConnectionLost()
            second.protocol.readConnectionLost()
            self.assertEqual(second.value(), b"")
            self.assertTrue(first.ended)
            first.protocol.flow.resume("for once")
            self.assertEqual(second.value(), b"one\ntwo\n")
            self.assertTrue(second.ended)
            self.assertFalse(first.connected or second.connected)

    def test_oneThatIsCongestedAlreadyIsRespected(self) -> None:
        first, second = connected(Side), connected(Side)
        second.reading = False
        second.protocol.write(b"x" * 300_000)
        second.value()
        first.protocol._pair(second.protocol)
        self.assertTrue(first.protocol.flow.paused)


class LookTests(Joining):
    def test_aPeerThatIsNotReadIsLookedAt(self) -> None:
        first, second = self.joined()
        second.reading = False
        first.write(b"x" * 1_000_000)
        first.clock.advance(5)
        self.assertTrue(first.connected)
        self.patch(paired, "isReset", lambda transport: True)
        first.clock.advance(1)
        self.assertFalse(first.connected)

    def test_noLongerThanItIsNotRead(self) -> None:
        first, second = self.joined()
        second.reading = False
        first.write(b"x" * 100_000)
        first.clock.advance(1)
        self.assertEqual(len(first.clock.getDelayedCalls()), 1)
        second.resume()
        first.clock.advance(1)
        self.assertEqual(first.clock.getDelayedCalls(), [])


class EndTests(Joining):
    def test_aCleanEndIsACleanEnd(self) -> None:
        first, second = self.joined()
        first.protocol.hangUp()
        first.finish()
        self.assertFalse(first.connected)
        self.assertTrue(second.ended)
        self.assertFalse(second.wasReset)

    def test_aBrokenOneIsBroken(self) -> None:
        first, second = self.joined()
        first.reset()
        self.assertTrue(second.wasReset)

    def test_oneThatIsOverStartsNoTimers(self) -> None:
        first, _ = self.joined()
        first.reset()
        first.protocol._schedule("look", 1, lambda: None)
        self.assertEqual(first.clock.getDelayedCalls(), [])

    def test_whatComesAfterwardsIsDropped(self) -> None:
        first, second = self.joined()
        first.protocol._dataHook = lambda: False
        first.write(b"hi")
        self.assertEqual(second.value(), b"")


class HookTests(Joining):
    def test_anExceptionInOneEndsBoth(self) -> None:
        class Failing(Side):
            def messageReceived(self, message: bytes) -> None:
                raise RuntimeError(message)

        first, second = self.joined(Failing)
        first.write(b"hi")
        self.assertTrue(first.wasReset)
        self.assertTrue(second.wasReset)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_theyNeedNoSuper(self) -> None:
        class Told(Side):
            told: Any = ()

            def connectionMade(self) -> None:
                self.told = ["made"]

            def connectionLost(self, reason: Any = None) -> None:
                self.told.append("lost")

        first, second = self.joined(Told)
        first.reset()
        second.value()
        self.assertEqual(first.protocol.told, ["made", "lost"])
        self.assertEqual(second.protocol.told, ["made", "lost"])

    def test_theReasonIsTheOthers(self) -> None:
        told = []
        first, second = self.joined()
        second.protocol._otherSideLost = lambda reason, why: told.append((reason, why))
        first.protocol.abort("unread")
        self.assertFalse(first.connected)
        (reason, why), *_ = told
        self.assertEqual(why, "unread")
        self.assertIsInstance(reason, Failure)
        self.assertFalse(reason.check(ConnectionDone))
