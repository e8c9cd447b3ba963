"""One connection to a server, from its first byte to a polite end."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener, ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from tcplab.client.result import HandshakeFailed, Outcome, Result, fromConnectionLost
from tcplab.reactor.stack import canHalfClose, removeEndpointWrapper


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class ClientProtocol(Protocol):
    """
    The client's side of a conversation; a subclass is one way to hold it.

    Hooks, none of which needs ``super()``: `callBegun`, `received`, `serverFinished`, `callLost`.
    ``finish`` ends it all with what is reported at the end.

    :ivar begun: fires when there is a connection, and on TLS a handshake; fails with
        `HandshakeFailed`.
    :ivar ended: fires with the `Result`, once.
    :ivar sent: bytes given to the transport.
    :ivar got: bytes received.
    """

    # A server that answers a FIN does so within one round trip, and round trips beyond a second
    # are of no use to anybody; one that doesn't care must not delay a health check any longer.
    lingerTimeout = 1.0

    transport: Any

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.begun: Deferred[None] = Deferred(lambda _: self._abandon())
        self.ended: Deferred[Result] = Deferred()
        self.sent = 0
        self.got = 0
        self._leaving = False
        self._farewell: Any = None

    # Hooks

    def callBegun(self) -> None:
        """Act on the connection being there."""

    def received(self, data: bytes) -> None:
        """Take what the server says."""

    def serverFinished(self) -> None:
        """Act on the server's FIN or close_notify: nothing more will come from it."""
        self.leave()

    def callLost(self, reason: Failure) -> None:
        """Act on the end of the connection."""
        self.finish(self.endingOf(reason))

    # What subclasses do

    def say(self, data: bytes) -> None:
        """Send."""
        self.sent += len(data)
        self.transport.write(data)

    def halfClose(self) -> None:
        """Send what was said, then finish; what the server still says is received."""
        if canHalfClose(self.transport):
            self.transport.loseWriteConnection()
        else:
            # Twisted's own TLS: this sends close_notify, and goes on receiving until the peer's.
            self.transport.loseConnection()

    def outputLost(self, ending: Result) -> None:
        """Stop at once, as any filter does when its output goes nowhere any more."""
        failed = self._leaving and self._ending.outcome is not Outcome.OK
        self.cutOff(self._ending if failed else ending)

    def leave(self) -> None:
        """Close, once all that was said is sent: the server has finished too."""
        self.transport.loseConnection()

    def hangUp(self, ending: Result) -> None:
        """
        End politely: finish, drop what still comes, and close when the server has finished too.

        A server that doesn't finish within ``lingerTimeout`` is left all the same.
        """
        if self._leaving:
            return
        self._leaving = True
        self._ending = ending
        self._farewell = self.clock.callLater(self.lingerTimeout, self._abandon)
        self.transport.resumeProducing()
        self.halfClose()

    def cutOff(self, ending: Result) -> None:
        """End at once, with a reset."""
        self._leaving = True
        self._ending = ending
        self._abandon()

    def _abandon(self) -> None:
        self.transport.abortConnection()

    def finish(self, ending: Result) -> None:
        """Report how it ended; only the first report counts."""
        if not self.ended.called:
            self.ended.callback(ending)

    def fine(self) -> Result:
        """Make the ending of a conversation in which all went well."""
        return Result(Outcome.OK, f"sent {self.sent} bytes, received {self.got}")

    def endingOf(self, reason: Failure) -> Result:
        """Tell a clean end from others."""
        if getattr(self.transport, "truncated", False):
            return Result(
                Outcome.TLS,
                "the server ended without close_notify: what it said may have been cut short",
            )
        if reason.check(ConnectionDone):
            return self.fine()
        return fromConnectionLost(reason.value)

    # What the transport tells

    def connectionMade(self) -> None:
        """Begin, except on TLS: there the handshake comes first."""
        removeEndpointWrapper(self.transport, self)
        if not ISSLTransport.providedBy(self.transport):
            self._begin()

    def handshakeCompleted(self) -> None:
        """Begin on TLS."""
        self._begin()

    def _begin(self) -> None:
        if not self.begun.called:
            self.begun.callback(None)
            self.callBegun()

    def dataReceived(self, data: bytes) -> None:
        """Count and deliver."""
        if not self._leaving:
            self.got += len(data)
            self.received(data)

    def readConnectionLost(self) -> None:
        """Tell that the server has finished."""
        if self._leaving:
            self.leave()
        else:
            self.serverFinished()

    def writeConnectionLost(self) -> None:
        """Our FIN is sent: nothing to do."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell how it ended."""
        if self._farewell is not None and self._farewell.active():
            self._farewell.cancel()
        if not self.begun.called:
            self.begun.errback(HandshakeFailed(reason))
        elif self._leaving:
            self.finish(self._ending)
        else:
            self.callLost(reason)
