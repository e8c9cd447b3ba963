"""Paired conversations: what one cannot send stops what the other reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.flow import FlowControl, FlowOwner
from tcplab.reactor.coalescing import CoalescingTransport
from tcplab.reactor.interfaces import StreamTransport
from tcplab.reactor.stack import (
    bottomTransport,
    isReset,
    isTLS,
    socketTransport,
    unacknowledgedBytes,
)
from tcplab.wire.framing import Stream
from tcplab.wire.reasons import Reason

# Bytes that may wait to be sent before the other side stops reading, and that one read takes. Both
# directions together hold no more than 256 KiB. A framing holds an unfinished message of 64 KiB
# besides.
_STREAM_BUFFER = 65536
_FRAMED_BUFFER = 32768
# Under TLS each byte is held several times while it is decrypted and encrypted again.
_TLS_READ = 16384

# Seconds between checks of a peer that is not read: nothing else reports its reset.
_RESET_CHECK = 1.0
# Seconds between checks whether the last bytes before a reset were acknowledged.
_ACKNOWLEDGED_CHECK = 0.01


class PairedFlowOwner(FlowOwner, Protocol):
    """What `PairedFlow` uses of its conversation."""

    def pausedForOther(self) -> None: ...


class PairedFlow(FlowControl):
    """
    Flow control of one of two paired conversations.

    :ivar other: that of the other one.
    """

    __slots__ = ("_reasons", "other")

    _conversation: PairedFlowOwner | None

    def __init__(self, conversation: PairedFlowOwner, transport: StreamTransport) -> None:
        super().__init__(conversation, transport)
        self._reasons: set[str] = set()
        self.other: PairedFlow | None = None

    @property
    def paused(self) -> bool:
        """Whether reading is paused."""
        return self._readingPaused

    def pause(self, reason: str) -> None:
        """Pause reading and delivery until `resume` was called for each reason."""
        self._reasons.add(reason)
        self.pauseReading()

    def resume(self, reason: str) -> None:
        """Remove a reason. After the last one, deliver what was received and read on."""
        self._reasons.discard(reason)
        if self._readingPaused and not self._reasons:
            self.resumeReading()
            if self._conversation is not None:
                self._conversation.deliver()

    def pauseForOther(self) -> None:
        """Pause until the other side has sent what waits."""
        self.pause("congested")
        if self._conversation is not None:
            self._conversation.pausedForOther()

    def mayDeliver(self) -> bool:
        """Tell whether one more message may be delivered."""
        return not self._readingPaused

    def pauseProducing(self) -> None:
        """Pause the other side: more than ``bufferSize`` bytes wait to be sent here."""
        super().pauseProducing()
        if self.other is not None:
            self.other.pauseForOther()

    def resumeProducing(self) -> None:
        """Resume the other side: the kernel has taken all that was written here."""
        super().resumeProducing()
        if self.other is not None and not self.congested:
            self.other.resume("congested")


class PairedConversation(Conversation):
    """
    One of two paired conversations.

    It closes when the other one does: gracefully after a graceful close, by a reset after a reset.
    As in any conversation the hooks are free for subclasses.
    """

    flow: PairedFlow

    _flowControl = PairedFlow
    _bypassFraming = False
    _other: PairedConversation | None = None
    _otherTransport: CoalescingTransport | None = None  # coalesces what is written during a read
    _finForwarded = False  # the other side's peer has finished, and so has this end
    _reason: Reason | None = None
    _isLost = False

    def abort(self, why: Reason | None = None) -> None:
        """
        Reset the connection; what was not sent is dropped.

        :param why: the reason that the log gives.
        """
        self._reason = self._reason or why
        super().abort(why)

    # The other side

    def _pair(self, other: PairedConversation) -> None:
        self._other = other
        self.flow.other = other.flow
        if other.flow.congested:
            self.flow.pauseForOther()
        self._otherTransport = other.raw if isinstance(other.raw, CoalescingTransport) else None

    def _unpair(self) -> None:
        self._other = self._otherTransport = self.flow.other = None

    def _forwardFin(self) -> None:
        """Finish, behind all that was written: the other side's peer has finished."""
        self._finForwarded = True
        finish = self.hangUp if self._inputEnded else self.closeWrite
        bottom = bottomTransport(self.raw)
        if not isinstance(bottom, CoalescingTransport) or bottom._corked:
            finish()
            return
        # At once, not when the reactor reports the socket writable. A Unix socket that its peer has
        # closed reports a hang-up before that, and what is still to be sent would be lost.
        bottom.cork()
        try:
            finish()
        finally:
            bottom.uncork()

    def _otherSideLost(self, reason: Failure, why: Reason | None) -> None:
        """Close too: the connection of the other side is lost."""
        if not reason.check(ConnectionDone):
            self._resetWhenAcknowledged()
        elif not self.ending:
            self.hangUp()

    def _resetWhenAcknowledged(self, left: int = -1, waited: float = 0.0) -> None:
        """
        Reset, as soon as the peer has all bytes that were written before.

        A reset destroys bytes on their way, and the peer is to have all that the other side's peer
        sent before its own reset. **Limit:** a peer that takes nothing for ``lingerTimeout``
        seconds is reset at once.
        """
        self.flow.pause("reset")
        before, left = left, unacknowledgedBytes(self.raw)
        waited = waited + _ACKNOWLEDGED_CHECK if left == before else 0.0
        if left and waited < self.lingerTimeout:
            self._schedule("reset", _ACKNOWLEDGED_CHECK, self._resetWhenAcknowledged, left, waited)
        else:
            self.abort()

    # How it works

    def _attach(self, transport: StreamTransport) -> None:
        super()._attach(transport)
        self._timers: dict[str, IDelayedCall] = {}
        bottom = socketTransport(transport)
        size = _STREAM_BUFFER if isinstance(self.framing, Stream) else _FRAMED_BUFFER
        if bottom is not None:
            bottom.bufferSize = size
        if isinstance(bottom, CoalescingTransport):
            bottom.readLimit = _TLS_READ if isTLS(transport) else size

    def dataReceived(self, data: bytes) -> None:
        """Pass the input on; the other side sends what one read brings in one piece."""
        if self.ending or (self._dataHook is not None and not self._dataHook()):
            return
        transport = self._otherTransport
        if transport is None or transport._corked:
            self._process(data)
            return
        transport.cork()
        try:
            self._process(data)
        finally:
            transport.uncork()

    def _process(self, data: bytes) -> None:
        if self.framing.__class__ is Stream and not self.flow._readingPaused:
            try:
                self.messageReceived(data)
            except Exception:
                self._failed()
        else:
            self.framing.feed(data)
            self.deliver()

    def pausedForOther(self) -> None:
        """Check from time to time whether the peer, which is not read now, has sent a reset."""
        if "check" not in self._timers:
            self._schedule("check", _RESET_CHECK, self._checkForReset)

    def _checkForReset(self) -> None:
        if isReset(self.raw):
            # Reading would report it too, but there is no room for the bytes before it.
            self.raw.abortConnection()
        elif self.flow.paused:
            self._schedule("check", _RESET_CHECK, self._checkForReset)

    # Timers

    def _schedule(
        self, name: str, seconds: float, call: Callable[..., None], *args: object
    ) -> None:
        """Call a function later; it replaces what is scheduled under this name."""
        self._cancel(name)
        if not self._isLost:
            self._timers[name] = self._clock.callLater(seconds, self._fire, name, call, args)

    def _fire(self, name: str, call: Callable[..., None], args: tuple[object, ...]) -> None:
        del self._timers[name]
        call(*args)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _connectionLost(self, reason: Failure = connectionDone) -> None:
        self._isLost = True
        super()._connectionLost(reason)
        for name in list(self._timers):
            self._cancel(name)
        other = self._other
        self._unpair()
        if other is not None:
            other._unpair()
            other._otherSideLost(reason, self._reason)
