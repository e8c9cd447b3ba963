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
from tcplab.testing import connected
from tests.support.memory_console import ended, outcome

OK = Result(Outcome.OK, "well done")


class Recorder(ClientProtocol):
    """Keep which hooks are called."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.events: list[object] = []

    def sessionStarted(self) -> None:
        self.events.append("started")

    def received(self, data: bytes) -> None:
        self.events.append(data)


class SessionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.client = Recorder(self.clock)
        self.peer = connected(self.client)

    def test_session(self) -> None:
        """It starts with the connection, and ends well with the server's FIN; bytes are counted."""
        self.successResultOf(self.client.established)
        self.client.send(b"hi")
        self.peer.finish(b"hello")
        self.assertEqual(self.client.events, ["started", b"hello"])
        self.assertEqual(ended(self.client), Result(Outcome.OK, "sent 2 bytes, received 5"))
        self.assertEqual((self.peer.value(), self.peer.wasReset), (b"hi", False))
        self.client.setResult(Result(Outcome.OTHER))
        self.assertIs(outcome(self.client), Outcome.OK)

    def test_halfClose(self) -> None:
        """Bytes are received after it."""
        self.client.send(b"hi")
        self.client.halfClose()
        self.assertTrue(self.peer.ended)
        self.peer.write(b"hello")
        self.assertEqual((self.client.events[-1], ended(self.client)), (b"hello", None))
        self.peer.finish()
        self.assertIs(outcome(self.client), Outcome.OK)

    def test_reset(self) -> None:
        self.peer.reset()
        self.assertIs(outcome(self.client), Outcome.RESET)

    def test_outputLost(self) -> None:
        """The connection is reset. A failure before it remains the result, a success does not."""
        for before, result in (
            (None, Outcome.UNREAD),
            (OK, Outcome.UNREAD),
            (Result(Outcome.EOF), Outcome.EOF),
        ):
            client = Recorder(self.clock)
            peer = connected(client)
            if before is not None:
                client.lingeringClose(before)
            client.outputLost(Result(Outcome.UNREAD))
            self.assertTrue(peer.wasReset)
            self.assertIs(outcome(client), result)

    def test_lingeringClose(self) -> None:
        """All is sent before FIN; what arrives is dropped; the server's FIN ends it."""
        self.client.send(b"bye")
        self.client.lingeringClose(OK)
        self.client.lingeringClose(Result(Outcome.OTHER))
        self.assertEqual((self.peer.ended, self.peer.value()), (True, b"bye"))
        self.peer.write(b"one more thing")
        self.assertEqual((self.client.events, ended(self.client)), (["started"], None))
        self.peer.finish()
        self.assertEqual((ended(self.client), self.peer.wasReset), (OK, False))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lingeringCloseTimesOut(self) -> None:
        self.client.lingeringClose(OK)
        self.clock.advance(0.9)
        self.assertTrue(self.peer.connected)
        self.clock.advance(0.1)
        self.assertEqual((self.peer.connected, ended(self.client)), (False, OK))

    def test_resetDuringLingeringClose(self) -> None:
        self.client.lingeringClose(OK)
        self.peer.reset()
        self.assertEqual(ended(self.client), OK)


class HandshakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.client = Recorder(Clock())
        self.transport = StringTransport()
        alsoProvides(self.transport, ISSLTransport)
        self.client.makeConnection(self.transport)

    def test_completed(self) -> None:
        """The session starts after it, once; TLS without half-close then sends close_notify."""
        self.assertNoResult(self.client.established)
        self.assertEqual(self.client.events, [])
        for _ in range(2):
            self.client.handshakeCompleted()
        self.successResultOf(self.client.established)
        self.assertEqual(self.client.events, ["started"])
        self.client.halfClose()
        self.assertTrue(self.transport.disconnecting)

    def test_failed(self) -> None:
        reason = Failure(CONNECTION_LOST)
        self.client.connectionLost(reason)
        failure = self.failureResultOf(self.client.established, HandshakeFailed)
        self.assertIs(failure.value.reason, reason)
        self.assertIsNone(ended(self.client))

    def test_cancelled(self) -> None:
        self.client.established.addErrback(lambda _: None)
        self.client.established.cancel()
        self.assertTrue(self.transport.disconnected)

    def test_truncated(self) -> None:
        """The answer is not complete for certain without the server's close_notify."""
        client = Recorder(Clock())
        tls: Any = overTLS(SingleUseFactory(client), None, insecure=True).buildProtocol(None)
        peer = connected(tls)
        client.handshakeCompleted()
        peer.finish()
        self.assertIs(outcome(client), Outcome.TLS)
