"""Tests for `tcplab.policies.gate`; what it is for is in `tests.policies.test_admission`."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.gate import Gate


class FakeHall:
    """Writes down what it is told."""

    maxPerPeer: int | None = 5

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []

    def refusal(self, address: Any, gate: Gate) -> bytes | None:
        return None

    def entered(self, peer: str | None, slow: bool) -> None:
        self.told.append(("entered", slow))

    def finished(self) -> None:
        self.told.append(("finished", None))

    def left(self, peer: str | None) -> None:
        self.told.append(("left", peer))


class FakeListener:
    """Writes down why it is suspended."""

    def __init__(self) -> None:
        self.guards: list[Any] = []
        self.reasons: list[str] = []

    def suspend(self, reason: str) -> None:
        self.reasons.append(reason)

    def resume(self, reason: str) -> None:
        self.reasons.remove(reason)


class FakeTransport:
    """A connection in a handshake."""

    def __init__(self, host: str = "192.0.2.1") -> None:
        self.opened = False
        self.connection = self
        self.peer = IPv4Address("TCP", host, 1)
        self.ended: list[str] = []

    def because(self, why: str) -> None:
        self.ended.append(why)

    def abortConnection(self) -> None:
        self.ended.append("aborted")


class GateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.hall, self.listener = FakeHall(), FakeListener()
        self.gate = Gate(self.hall, self.listener)  # type: ignore[arg-type]
        self.listener.guards.append(self.gate)

    def come(self, opened: bool = False) -> FakeTransport:
        transport = FakeTransport()
        self.gate.admit(("192.0.2.1", 1))
        self.gate.connectionAccepted(transport)
        if opened:
            self.gate.connectionOpened(transport)
        return transport

    def test_slowWhereOneIsUnfinishedWhenAnotherComes(self) -> None:
        """Where each is opened in the moment in which it is accepted there are no handshakes."""
        for _ in range(3):
            self.come(opened=True)
        self.assertEqual((self.gate.slow, self.hall.told), (False, [("entered", False)] * 3))
        self.come()
        self.assertFalse(self.gate.slow)
        self.come()
        self.assertEqual((self.gate.slow, self.hall.told[-1]), (True, ("entered", True)))

    def test_finishedIsToldOnlyWhereItMatters(self) -> None:
        first, second = self.come(), self.come()
        self.gate.connectionOpened(first)
        self.gate.connectionOpened(first)  # STARTTLS, say
        self.assertEqual(self.hall.told[2:], [("finished", None)])
        self.assertEqual(list(self.gate.unfinished), [second])

    def test_whoWasDroppedLeavesOnce(self) -> None:
        """At once, and with its cause; not again when it is gone."""
        transport = self.come()
        self.gate.drop(transport)
        self.assertEqual(self.hall.told[1:], [("left", "192.0.2.1")])
        self.assertEqual(transport.ended, ["handshake-timeout", "aborted"])
        self.gate.connectionGone(transport)
        self.assertEqual((len(self.hall.told), self.gate.unfinished), (2, {}))

    def test_shut(self) -> None:
        """Once for each reason, and open when none is left."""
        for reason, shut in (("a", True), ("a", True), ("b", True), ("c", False), ("a", False)):
            self.gate.shut(reason, shut)
        self.assertEqual(self.listener.reasons, ["b"])
        self.gate.leave()
        self.assertEqual((self.listener.reasons, self.listener.guards), ([], []))
