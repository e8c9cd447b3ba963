"""Two conversations that are joined: what one cannot send stops what the other reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.flow import FlowControl
from tcplab.reactor.coalescing import CoalescingTransport
from tcplab.reactor.stack import (
    bottomTransport,
    isReset,
    isTLS,
    reactorOf,
    socketTransport,
    unacknowledgedBytes,
)
from tcplab.wire.framing import Stream
from tcplab.wire.reasons import Reason

# So much may wait to be sent before the other side reads no more, and so much is read at once: in
# both directions together no more than 256 KiB are held. A framing holds an unfinished message of
# 64 KiB besides.
_STREAMED = 65536
_FRAMED = 32768
# While it is decrypted and encrypted again every byte is held several times over.
_SECURED = 16384

# Seconds between two looks at a peer whom we do not read: nothing else tells of its reset.
_LOOK = 1.0
# Seconds between two looks at whether the last bytes before a reset have arrived.
_ARRIVED = 0.01


class PairedFlow(FlowControl):
    """
    Flow control of one of two conversations that are joined.

    :ivar other: that of the other one.
    """

    __slots__ = ("_reasons", "other")

    def __init__(self, conversation: PairedConversation, transport: Any) -> None:
        super().__init__(conversation, transport)
        self._reasons: set[str] = set()
        self.other: PairedFlow | None = None

    @property
    def held(self) -> bool:
        """Whether nothing is read now."""
        return self._held

    def block(self, reason: str) -> None:
        """Read and deliver nothing more, until no reason not to is left."""
        self._reasons.add(reason)
        self.hold(True)

    def unblock(self, reason: str) -> None:
        """Take a reason away; deliver what is here, and read on."""
        self._reasons.discard(reason)
        if self._held and not self._reasons:
            self.hold(False)
            if self._conversation is not None:
                self._conversation.deliver()

    def congest(self) -> None:
        """Read no more, until the other side has sent what waits."""
        self.block("congested")
        if self._conversation is not None:
            self._conversation.congested()

    def mayHear(self) -> bool:
        """Tell whether one more message may be delivered."""
        return not self._held

    def pauseProducing(self) -> None:
        """Stop what the other side reads: much of it waits to be sent."""
        super().pauseProducing()
        if self.other is not None:
            self.other.congest()

    def resumeProducing(self) -> None:
        """Let the other side read on: all has gone to the kernel."""
        super().resumeProducing()
        if self.other is not None and not self.congested:
            self.other.unblock("congested")


class PairedConversation(Conversation):
    """
    One of two conversations that are joined.

    It ends with the other: politely if that did, by a reset if that was broken off. The hooks are
    free for subclasses, as ever.
    """

    flow: PairedFlow

    _direct = False
    _other: Any = None
    _gate: Any = None  # the other's transport, if it can collect what is written while we read
    _finished = False  # the other's peer has finished, and so have we
    _why: Reason | None = None
    _isOver = False

    def abort(self, why: Reason | None = None) -> None:
        """Reset the connection; what was not sent is dropped. ``why`` stands in the log."""
        self._why = self._why or why
        super().abort(why)

    # The other side

    def _join(self, other: PairedConversation) -> None:
        self._other = other
        self.flow.other = other.flow
        if other.flow.congested:
            self.flow.congest()
        self._gate = other.raw if isinstance(other.raw, CoalescingTransport) else None

    def _part(self) -> None:
        self._other = self._gate = self.flow.other = None

    def _finish(self) -> None:
        """Say nothing more than what was said: the other's peer has finished."""
        self._finished = True
        finish = self.hangUp if self._inputOver else self.finishSpeaking
        bottom = bottomTransport(self.transport)
        if not isinstance(bottom, CoalescingTransport) or bottom._corked:
            finish()
            return
        # At once, not when the reactor says that we may write: a Unix socket that its peer has
        # closed hangs up on who waits for that and does not read, and what it still has is lost.
        bottom.cork()
        try:
            finish()
        finally:
            bottom.uncork()

    def _widowed(self, reason: Failure, why: Reason | None) -> None:
        """End too: the other side has."""
        if not reason.check(ConnectionDone):
            self._breakOff()
        elif not self.ending:
            self.hangUp()

    def _breakOff(self, left: int = -1, waited: float = 0.0) -> None:
        """
        Reset, as soon as the peer has all that was said before.

        A reset destroys what has not arrived, and the peer is to have all that the other side's
        peer has said before it broke off. One that takes nothing for ``lingerTimeout`` seconds
        is not waited for.
        """
        self.flow.block("broken")
        before, left = left, unacknowledgedBytes(self.transport)
        waited = waited + _ARRIVED if left == before else 0.0
        if left and waited < self.lingerTimeout:
            self._later("broken", _ARRIVED, self._breakOff, left, waited)
        else:
            self.abort()

    # What drives it

    def _speakThrough(self, transport: Any) -> None:
        super()._speakThrough(transport)
        self._timers: dict[str, Any] = {}
        bottom, size = socketTransport(transport), _FRAMED
        if isinstance(self.framing, Stream):
            size = _STREAMED
        if bottom is not None:
            bottom.bufferSize = size
        if isinstance(bottom, CoalescingTransport):
            bottom.readLimit = _SECURED if isTLS(transport) else size

    def _newFlow(self, transport: Any) -> PairedFlow:
        return PairedFlow(self, transport)

    def dataReceived(self, data: bytes) -> None:
        """Pass on what came; the other side sends it when that is done."""
        if self.attention is not None and not self.attention():
            return
        gate = self._gate
        if gate is None or gate._corked:
            self._take(data)
            return
        gate.cork()
        try:
            self._take(data)
        finally:
            gate.uncork()

    def _take(self, data: bytes) -> None:
        if self.framing.__class__ is Stream and not self.flow._held:
            try:
                self.messageReceived(data)
            except Exception:
                self._failed()
        else:
            self.framing.feed(data)
            self.deliver()

    def congested(self) -> None:
        """Look every now and then whether a peer that is not read has reset the connection."""
        if "look" not in self._timers:
            self._later("look", _LOOK, self._look)

    def _look(self) -> None:
        if isReset(self.raw):
            # To read on would tell, but there is nowhere to put what comes before it.
            self.transport.abortConnection()
        elif self.flow.held:
            self._later("look", _LOOK, self._look)

    def _later(self, name: str, seconds: float, call: Callable[..., None], *args: Any) -> None:
        """Do something later, in the place of what is waited for under this name."""
        self._notLater(name)
        if self._isOver:
            return
        clock = self.clock or reactorOf(self.transport)
        self._timers[name] = clock.callLater(seconds, self._due, name, call, args)

    def _due(self, name: str, call: Callable[..., None], args: tuple[Any, ...]) -> None:
        del self._timers[name]
        call(*args)

    def _notLater(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _lost(self, reason: Failure = connectionDone) -> None:
        self._isOver = True
        super()._lost(reason)
        for name in list(self._timers):
            self._notLater(name)
        other = self._other
        self._part()
        if other is not None:
            other._part()
            other._widowed(reason, self._why)
