"""The end that a fault makes of a connection: exactly FIN, or exactly RST, as its peer sees it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOProtocol

from tcplab.reactor.interfaces import StreamTransport
from tcplab.reactor.stack import bottomTransport, canHalfClose, setReason, unacknowledgedBytes
from tcplab.wire.reasons import Reason

#: Seconds in which a peer has to take some of what has passed, or to finish after us: as long as
#: a conversation lingers.
LINGER = 2.0

# Seconds between two looks at whether the peer's kernel has taken everything: no event reports it.
_SHORTEST, _LONGEST = 0.001, 0.05


class RawTransport(StreamTransport, Protocol):
    """
    A transport beneath its faults: its own methods, without those that cover them.

    :ivar transport: that transport, as its protocol sees it.
    """

    transport: object


class FaultClose:
    """
    End one connection by the FIN or RST of a fault.

    A close at once would turn a FIN into a reset wherever received bytes were not read (RFC 2525,
    2.17). A reset at once would destroy what has passed and is still on its way.

    :param raw: the transport.
    :param clock: keeps the time.
    :param onBegin: detaches the producer, for which a close would wait.
    :ivar begun: no byte passes any more, in either direction.
    :ivar peerFinished: the peer's FIN has arrived.
    """

    def __init__(
        self, raw: RawTransport, clock: IReactorTime, onBegin: Callable[[], object]
    ) -> None:
        self.begun = self.peerFinished = False
        self._raw = raw
        self._transport = raw.transport
        self._clock = clock
        self._onBegin = onBegin
        self._timer: IDelayedCall | None = None
        self._left = 0
        self._since = 0.0
        self._resetting = False

    def fin(self) -> None:
        """Send a FIN, let the peer finish, then close."""
        if self._begin():
            if canHalfClose(self._transport) and not self.peerFinished:
                self._raw.loseWriteConnection()
                self._later(LINGER, self._lingered)
            else:
                self._raw.loseConnection()

    def reset(self) -> None:
        """Reset, once the peer's kernel has taken everything that has passed."""
        self._begin()
        if not self._resetting:
            self._resetting = True
            self.cancel()
            self._since = self._clock.seconds()
            self._resetOrWait(_SHORTEST)

    def readConnectionLost(self) -> None:
        """Close, if a FIN was the end: the peer has finished too."""
        self.peerFinished = True
        if self.begun and not self._resetting:
            self._raw.loseConnection()

    def cancel(self) -> None:
        """Stop the timer: the connection is lost."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _begin(self) -> bool:
        begun, self.begun = self.begun, True
        if not begun:
            self._onBegin()
        setReason(self._transport, Reason.FAULT)
        return not begun

    def _later(self, delay: float, call: Callable[[], object]) -> None:
        def due() -> None:
            self._timer = None
            call()

        self._timer = self._clock.callLater(delay, due)

    def _lingered(self) -> None:
        left = unacknowledgedBytes(self._transport)
        if left and left != self._left:
            self._left = left
            self._later(LINGER, self._lingered)
        elif left:
            bottomTransport(self._transport).abortConnection()
        else:
            self._raw.loseConnection()

    def _resetOrWait(self, delay: float) -> None:
        left = _waiting(self._transport)
        now = self._clock.seconds()
        if left != self._left:
            self._left, self._since = left, now
        if not left or now - self._since >= LINGER:
            bottomTransport(self._transport).abortConnection()  # TLS would send an alert before
        else:
            self._later(delay, partial(self._resetOrWait, min(2 * delay, _LONGEST)))


def _waiting(transport: object) -> int:
    """Count the bytes that the peer has not acknowledged, with those that TLS still holds."""
    held = 0
    if isinstance(transport, BufferingTLSTransport):
        transport._aggregator.flush()
    if isinstance(transport, TLSMemoryBIOProtocol):
        held = sum(map(len, transport._appSendBuffer))
    return unacknowledgedBytes(transport) + held
