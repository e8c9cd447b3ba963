"""The lingering close of a conversation: flush, half-close, discard input until the peer's end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tcplab.protocols.flow import FlowControl
from tcplab.reactor.interfaces import StreamTransport
from tcplab.reactor.stack import canHalfClose, isTLS, setReason, unacknowledgedBytes
from tcplab.wire.reasons import Reason


class ClosingConversation(Protocol):
    """What `LingeringClose` uses of its conversation."""

    flow: FlowControl
    lingerTimeout: float
    started: bool
    ending: bool
    peerFinished: bool
    raw: StreamTransport

    @property
    def _clock(self) -> IReactorTime: ...
    def setDataHook(self, hook: Callable[[], bool] | None) -> None: ...
    def _stopWriting(self) -> None: ...
    def _closeNow(self) -> None: ...


class LingeringClose:
    """
    How one conversation closes.

    The kernel resets a connection whose socket is closed with unread input (RFC 2525, 2.17), and
    the reset destroys bytes that the peer has not read yet. So the conversation half-closes, reads
    and discards until the peer has finished too, and aborts only a peer that does not finish.
    """

    __slots__ = (
        "_begun",
        "_conversation",
        "_finSent",
        "_timer",
        "_unacknowledged",
        "_writeClosing",
    )

    def __init__(self, conversation: ClosingConversation) -> None:
        self._conversation = conversation
        self._timer: IDelayedCall | None = None
        self._unacknowledged = 0
        self._begun = conversation.ending
        self._writeClosing = self._finSent = False

    # When to close

    def hangUp(self) -> None:
        """Close now, and stop a producer of the subclass's own."""
        if not self._begun:
            self._begin()
            self._close()

    def loseConnection(self) -> None:
        """Close, once a registered producer has finished."""
        if self._begun:
            return
        if self._conversation.flow.otherProducer is None:
            self.hangUp()
        else:
            self._begin()

    def loseWriteConnection(self) -> None:
        """Half-close, once a registered producer has finished; go on reading."""
        if not (self._begun or self._writeClosing):
            self._writeClosing = True
            if self._conversation.flow.otherProducer is None:
                self._halfClose()

    def producerUnregistered(self) -> None:
        """Close or half-close, if that waited for the producer."""
        if self._begun:
            self._close()
        elif self._writeClosing:
            self._halfClose()

    def closeAfterIdle(self) -> None:
        """Close once the peer has sent nothing for ``lingerTimeout`` seconds."""
        if not self._begun and self._timer is None:
            self._conversation.setDataHook(self._restartTimer)
            self._startTimer(self._idleExpired)

    def _restartTimer(self) -> bool:
        if self._timer is not None:
            self._timer.reset(self._conversation.lingerTimeout)
        return True

    def _idleExpired(self) -> None:
        self._timer = None
        if self._conversation.flow.congested:
            self._startTimer(self._idleExpired)  # nothing is read until the peer reads
        else:
            self.hangUp()

    # How to close

    def _begin(self) -> None:
        self._begun = self._conversation.ending = True
        self._stopTimer()

    def _close(self) -> None:
        conversation, transport = self._conversation, self._conversation.raw
        if not conversation.started:
            transport.abortConnection()  # during the TLS handshake there is no graceful close
            return
        waiting = not conversation.peerFinished
        if waiting and canHalfClose(transport):
            self._halfClose()
            transport.resumeProducing()
            return
        conversation._closeNow()
        if waiting and isTLS(transport):
            # Twisted's own TLS closes both directions at once, and waits for the answer for ever.
            self._startTimer(self._lingerTimedOut)

    def _halfClose(self) -> None:
        if self._finSent:
            self.finSent()
            return
        self._conversation._stopWriting()
        self._conversation.raw.loseWriteConnection()

    def finSent(self) -> None:
        """Start the linger timer: all bytes and FIN were sent."""
        self._finSent = True
        if self._begun and self._timer is None:
            self._startTimer(self._lingerTimedOut)

    def peerFinished(self) -> None:
        """Close the socket: nothing can be lost any more."""
        if self._conversation.flow.otherProducer is None:
            self._conversation.raw.loseConnection()

    def _lingerTimedOut(self) -> None:
        self._timer = None
        transport = self._conversation.raw
        left = unacknowledgedBytes(transport)
        if left and left != self._unacknowledged:
            # The peer reads slowly. Bytes are still on their way, and a reset would destroy them.
            self._unacknowledged = left
            self._startTimer(self._lingerTimedOut)
        else:
            # Either bytes were not read, or all were and only the peer's FIN is missing.
            setReason(transport, Reason.UNREAD if left else Reason.LINGER_TIMEOUT)
            transport.abortConnection()

    def connectionLost(self) -> None:
        """Stop: the connection is lost."""
        self._begun = True
        self._stopTimer()
        del self._conversation  # no cycle of references stays behind for the garbage collector

    def _startTimer(self, then: Callable[[], None]) -> None:
        conversation = self._conversation
        self._timer = conversation._clock.callLater(conversation.lingerTimeout, then)

    def _stopTimer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
