"""The polite end of a conversation: flush, finish, let the peer finish, and not for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tcplab.reactor.stack import canHalfClose, isTLS, reactorOf, setReason, unacknowledgedBytes
from tcplab.wire.reasons import Reason

if TYPE_CHECKING:
    from tcplab.protocols.conversation import Machinery


class LingeringClose:
    """
    How one conversation ends.

    Closing a socket with unread input makes the kernel reset it (RFC 2525, 2.17), and the reset
    destroys last words that the peer has not read. So: half-close, read and drop until the peer
    has finished too, and abort only a peer that does not.

    :ivar begun: we have decided to end; nothing that comes is delivered any more.
    """

    __slots__ = ("_conversation", "_finSent", "_spoken", "_timer", "_underway", "begun")

    def __init__(self, conversation: Machinery) -> None:
        self._conversation: Any = conversation
        self._timer: Any = None
        self._underway = 0
        self.begun = conversation.ending
        self._spoken = self._finSent = False

    # When to end

    def hangUp(self) -> None:
        """End now; a producer of the subclass's own is told to stop."""
        if not self.begun:
            self._begin()
            self._finish()

    def loseConnection(self) -> None:
        """End, as the transport's method of this name: when a registered producer has finished."""
        conversation = self._conversation
        if conversation.flow.lent is None:
            self.hangUp()
        else:
            self._begin()

    def loseWriteConnection(self) -> None:
        """Finish speaking, when a registered producer has finished; go on listening."""
        if not (self.begun or self._spoken):
            self._spoken = True
            if self._conversation.flow.lent is None:
                self._halfClose()

    def producerFinished(self) -> None:
        """Another producer has finished: end, or finish speaking, if that was waited for."""
        if self.begun:
            self._finish()
        elif self._spoken:
            self._halfClose()

    def afterSilence(self) -> None:
        """End once the peer has been silent for ``lingerTimeout`` seconds."""
        if not self.begun and self._timer is None:
            self._conversation.heed(self._heard)
            self._startTimer(self._silent)

    def afterMessage(self) -> None:
        """End once the message that has begun was answered, or the peer is silent as above."""
        conversation = self._conversation
        hear = conversation.messageReceived

        def hearTheLast(message: bytes) -> None:
            hear(message)
            self.hangUp()

        conversation.messageReceived = hearTheLast
        self.afterSilence()

    def _silent(self) -> None:
        self._timer = None
        if self._conversation.flow.congested:
            self._startTimer(self._silent)  # it is we who do not listen, until it has read
        else:
            self.hangUp()

    def _heard(self) -> bool:
        self._timer.reset(self._conversation.lingerTimeout)
        return True

    # How to end

    def _begin(self) -> None:
        self.begun = self._conversation.ending = True
        self._stopTimer()
        self._conversation.heed(_drop)

    def _finish(self) -> None:
        conversation, transport = self._conversation, self._conversation.raw
        if not conversation.begun:
            transport.abortConnection()  # still in the handshake: there is nobody to be polite to
            return
        waiting = not conversation.peerFinished
        if waiting and canHalfClose(transport):
            self._halfClose()
            transport.resumeProducing()
            return
        closeNow(conversation)
        if waiting and isTLS(transport):
            # Twisted's own TLS ends both directions at once, and waits for ever for the answer.
            self._startTimer(self._lingered)

    def _halfClose(self) -> None:
        if self._finSent:
            self.finishSent()
            return
        _stopWriting(self._conversation)
        self._conversation.raw.loseWriteConnection()

    def finishSent(self) -> None:
        """All was sent and our FIN too: now it is the peer's turn."""
        self._finSent = True
        if self.begun and self._timer is None:
            self._startTimer(self._lingered)

    def peerFinished(self) -> None:
        """The peer has finished too: nothing can be lost any more."""
        if self._conversation.flow.lent is None:
            self._close()

    def _close(self) -> None:
        self._conversation.raw.loseConnection()

    def _lingered(self) -> None:
        self._timer = None
        transport = self._conversation.raw
        left = unacknowledgedBytes(transport)
        if left and left != self._underway:
            # It reads, slowly: our last words are still on their way, and a reset would take them.
            self._underway = left
            self._startTimer(self._lingered)
        else:
            # What was said and not taken is lost; a peer that has all of it only does not finish.
            setReason(transport, Reason.UNREAD if left else Reason.LINGER_TIMEOUT)
            transport.abortConnection()

    def over(self) -> None:
        """The connection is lost."""
        self.begun = True
        self._stopTimer()
        self._conversation = None  # else only the garbage collector would part us

    def _startTimer(self, then: Any) -> None:
        conversation = self._conversation
        clock = conversation.clock or reactorOf(conversation.raw)
        self._timer = clock.callLater(conversation.lingerTimeout, then)

    def _stopTimer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


def closeNow(conversation: Any) -> None:
    """End as soon as what was written has been sent: the peer has finished, or cannot be asked."""
    _stopWriting(conversation)
    conversation.raw.loseConnection()


def _stopWriting(conversation: Any) -> None:
    conversation.write = conversation.send = _drop
    flow = conversation.flow
    flow.stop()
    if flow.congested:
        flow.resumeProducing()  # nothing joins what waits any more


def _drop(data: bytes = b"") -> bool:
    """Take nothing more, in either direction."""
    return False
