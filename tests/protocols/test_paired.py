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
        assert self._other is not None
        self._other.send(message)

    def readConnectionLost(self) -> None:
        assert self._other is not None
        self._other._forwardFin()
        if self._finForwarded:
            self.hangUp()


class LinedSide(Side):
    framing = Lines


def pair(kind: type[Side] = Side) -> tuple[Peer, Peer]:
    first, second = connected(kind), connected(kind)
    first.protocol._pair(second.protocol)
    second.protocol._pair(first.protocol)
    return first, second


class FlowTests(SynchronousTestCase):
    def test_congestedBefore(self) -> None:
        """A side that is congested when it is paired stops the other too."""
        first, second = connected(Side), connected(Side)
        second.reading = False
        second.protocol.write(b"x" * 300_000)
        second.value()
        first.protocol._pair(second.protocol)
        self.assertTrue(first.protocol.flow.paused)

    def test_messages(self) -> None:
        """Messages that were received already wait too."""
        first, second = pair(LinedSide)
        second.reading = False
        second.window = 0
        first.write(b"x" * 20_000 + b"\n" + b"y" * 20_000 + b"\nz\n")
        self.assertNotIn(b"z", b"".join(second.transport._tempDataBuffer))
        second.window = 65536
        second.resume()
        self.assertTrue(second.value().endswith(b"y\nz\n"))

    def test_reasons(self) -> None:
        """Reading goes on when each reason to pause is gone."""
        first, second = pair()
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

    def test_deliveredWhilePaused(self) -> None:
        """TLS delivers what it has decrypted: it waits, in order, and so does FIN."""
        for kind in (Side, LinedSide):
            first, second = pair(kind)
            first.protocol.flow.pause("test")
            for word in (b"one\n", b"two\n"):
                first.protocol.dataReceived(word)
            first.protocol.readConnectionLost()
            second.protocol.readConnectionLost()
            self.assertEqual((second.value(), first.ended), (b"", True))
            first.protocol.flow.resume("test")
            self.assertEqual((second.value(), second.ended), (b"one\ntwo\n", True))
            self.assertFalse(first.connected or second.connected)

    def test_dataHook(self) -> None:
        """It may drop input here as well."""
        first, second = pair()
        first.protocol.setDataHook(lambda: False)
        first.write(b"hi")
        self.assertEqual(second.value(), b"")


class ResetCheckTests(SynchronousTestCase):
    def test_whileNotRead(self) -> None:
        """A peer that is not read is checked for a reset, each second, until it is read again."""
        first, second = pair()
        second.reading = False
        first.write(b"x" * 100_000)
        first.clock.advance(1)
        self.assertEqual(len(first.clock.getDelayedCalls()), 1)
        second.resume()
        first.clock.advance(1)
        self.assertEqual(first.clock.getDelayedCalls(), [])
        second.reading = False
        first.write(b"x" * 1_000_000)
        first.clock.advance(5)
        self.assertTrue(first.connected)
        self.patch(paired, "isReset", lambda transport: True)
        first.clock.advance(1)
        self.assertFalse(first.connected)


class EndTests(SynchronousTestCase):
    def test_reason(self) -> None:
        """The other side is told why; no timer is scheduled any more."""
        told: list[Any] = []

        class Told(Side):
            def _otherSideLost(self, reason: Failure, why: str | None) -> None:
                told.append((reason.check(ConnectionDone), why))

        first, _ = pair(Told)
        first.protocol.abort("unread")
        self.assertFalse(first.connected)
        self.assertEqual(told, [(None, "unread")])
        first.protocol._schedule("check", 1, lambda: None)
        self.assertEqual(first.clock.getDelayedCalls(), [])

    def test_hooks(self) -> None:
        """They need no super(); an exception in one resets both."""
        calls = []

        class Failing(Side):
            def connectionMade(self) -> None:
                calls.append("made")

            def messageReceived(self, message: bytes) -> None:
                raise RuntimeError(message)

            def connectionLost(self, reason: Any = None) -> None:
                calls.append("lost")

        first, second = pair(Failing)
        first.write(b"hi")
        self.assertTrue(first.wasReset and second.wasReset)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(calls, ["made", "made", "lost", "lost"])
