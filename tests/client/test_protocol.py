"""Tests for `tcplab.client.protocol`."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import ISSLTransport
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from tcplab.client.clienttls import overTLS
from tcplab.client.connect import SingleUseFactory
from tcplab.client.protocol import ClientProtocol
from tcplab.client.result import HandshakeFailed, Outcome, Result
from tcplab.testing import Peer, connected
from tests.support.memory_console import ended, outcome

FINE = Result(Outcome.OK, "well done")


class Listening(ClientProtocol):
    """Keep what happens."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.told: list[object] = []

    def sessionStarted(self) -> None:
        self.told.append("begun")

    def received(self, data: bytes) -> None:
        self.told.append(data)


class CallTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.call = Listening(self.clock)

    def connected(self) -> Peer:
        return connected(self.call)

    def test_itBeginsWithTheConnection(self) -> None:
        self.connected()
        self.successResultOf(self.call.established)
        self.assertEqual(self.call.told, ["begun"])

    def test_whatTheServerSaysIsReceived(self) -> None:
        self.connected().write(b"hello")
        self.assertEqual(self.call.told, ["begun", b"hello"])

    def test_whenTheServerFinishesItEndsWellAndCounts(self) -> None:
        peer = self.connected()
        self.call.send(b"hi")
        peer.finish(b"hello")
        self.assertEqual(ended(self.call), Result(Outcome.OK, "sent 2 bytes, received 5"))
        self.assertEqual(peer.value(), b"hi")
        self.assertFalse(peer.wasReset)

    def test_aHalfCloseStillReceives(self) -> None:
        peer = self.connected()
        self.call.send(b"hi")
        self.call.halfClose()
        self.assertTrue(peer.ended)
        peer.write(b"hello")
        self.assertEqual(self.call.told[-1], b"hello")
        self.assertIsNone(ended(self.call))
        peer.finish()
        self.assertIs(outcome(self.call), Outcome.OK)

    def test_aResetIsToldAsSuch(self) -> None:
        self.connected().reset()
        self.assertIs(outcome(self.call), Outcome.RESET)

    def test_anOutputThatNobodyReadsEndsItAtOnce(self) -> None:
        peer = self.connected()
        self.call.outputLost(Result(Outcome.UNREAD))
        self.assertTrue(peer.wasReset)
        self.assertIs(outcome(self.call), Outcome.UNREAD)


class HangingUpTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.call = Listening(self.clock)
        self.peer = connected(self.call)

    def test_anOutputThatIsLostMeanwhileDoesNotHideWhatWasWrong(self) -> None:
        self.call.lingeringClose(Result(Outcome.EOF))
        self.call.outputLost(Result(Outcome.UNREAD))
        self.assertTrue(self.peer.wasReset)
        self.assertIs(outcome(self.call), Outcome.EOF)

    def test_anOutputThatIsLostMeanwhileIsNoSuccess(self) -> None:
        self.call.lingeringClose(FINE)
        self.call.outputLost(Result(Outcome.UNREAD))
        self.assertTrue(self.peer.wasReset)
        self.assertIs(outcome(self.call), Outcome.UNREAD)

    def test_itSendsEverythingThenFinishesAndDropsWhatStillComes(self) -> None:
        self.call.send(b"bye")
        self.call.lingeringClose(FINE)
        self.assertTrue(self.peer.ended)
        self.assertEqual(self.peer.value(), b"bye")
        self.peer.write(b"one more thing")
        self.assertEqual(self.call.told, ["begun"])
        self.assertIsNone(ended(self.call))

    def test_itEndsWhenTheServerFinishesToo(self) -> None:
        self.call.lingeringClose(FINE)
        self.peer.finish()
        self.assertEqual(ended(self.call), FINE)
        self.assertFalse(self.peer.wasReset)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_itWaitsNoLongerThanASecond(self) -> None:
        self.call.lingeringClose(FINE)
        self.clock.advance(0.9)
        self.assertTrue(self.peer.connected)
        self.clock.advance(0.1)
        self.assertFalse(self.peer.connected)
        self.assertEqual(ended(self.call), FINE)

    def test_aResetInReplyChangesNothing(self) -> None:
        self.call.lingeringClose(FINE)
        self.peer.reset()
        self.assertEqual(ended(self.call), FINE)

    def test_onlyTheFirstTimeCounts(self) -> None:
        self.call.lingeringClose(FINE)
        self.call.lingeringClose(Result(Outcome.OTHER))
        self.peer.finish()
        self.assertEqual(ended(self.call), FINE)


class HandshakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.call = Listening(Clock())
        self.transport = StringTransport()
        alsoProvides(self.transport, ISSLTransport)
        self.call.makeConnection(self.transport)

    def test_onTLSItBeginsAfterTheHandshake(self) -> None:
        self.assertNoResult(self.call.established)
        self.assertEqual(self.call.told, [])
        self.call.handshakeCompleted()
        self.successResultOf(self.call.established)
        self.assertEqual(self.call.told, ["begun"])

    def test_aHandshakeThatFailsIsNoBeginning(self) -> None:
        reason = Failure(CONNECTION_LOST)
        self.call.connectionLost(reason)
        failure = self.failureResultOf(self.call.established, HandshakeFailed)
        self.assertIs(failure.value.reason, reason)
        self.assertIsNone(ended(self.call))

    def test_aHandshakeThatIsGivenUpIsAborted(self) -> None:
        self.call.established.addErrback(lambda _: None)
        self.call.established.cancel()
        self.assertTrue(self.transport.disconnected)

    def test_anEndWithoutCloseNotifyIsNotTrusted(self) -> None:
        call = Listening(Clock())
        tls: Any = overTLS(SingleUseFactory(call), None, insecure=True).buildProtocol(None)
        peer = connected(tls)
        call.handshakeCompleted()
        peer.finish()
        self.assertIs(outcome(call), Outcome.TLS)

    def test_tlsThatCannotHalfCloseSendsItsCloseNotify(self) -> None:
        self.call.handshakeCompleted()
        self.call.halfClose()
        self.assertTrue(self.transport.disconnecting)
