"""The end that a fault makes of a connection: exactly FIN, or exactly RST, as its peer sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tcplab.reactor.stack import bottomTransport, canHalfClose, setReason, unacknowledgedBytes

#: Seconds that a peer has to take what has passed, each time it took some, or to finish after us:
#: as long as a conversation lingers.
LINGER = 2.0

# Seconds between two looks at whether the peer's kernel has taken all: no event tells.
_SHORTEST, _LONGEST = 0.001, 0.05


class FaultClose:
    """
    End one connection.

    To close at once would make of a FIN a reset where something came that nobody read (RFC 2525,
    2.17), and a reset would destroy what has passed and is still on its way.

    :param transport: the transport.
    :param beneath: its own methods.
    :param clock: keeps the time.
    :param detach: takes the producer away: an end would wait for it.
    :ivar begun: nothing passes any more, in either direction.
    """

    def __init__(
        self, transport: Any, beneath: Any, clock: Any, detach: Callable[[], object]
    ) -> None:
        self.begun = False
        self._transport = transport
        self._beneath = beneath
        self._clock = clock
        self._detach = detach
        self._timer: Any = None
        self._left = 0
        self._resetting = False

    def fin(self, peerFinished: bool) -> None:
        """Finish, let the peer finish, then close."""
        if self._begin():
            if canHalfClose(self._transport) and not peerFinished:
                self._beneath.loseWriteConnection()
                self._later(LINGER, self._lingered)
            else:
                self._beneath.loseConnection()

    def peerFinished(self) -> None:
        """The peer has finished too."""
        if not self._resetting:
            self._beneath.loseConnection()

    def reset(self) -> None:
        """Reset, once all that has passed has been taken by the peer's kernel."""
        self._begin()
        if not self._resetting:
            self._resetting = True
            self.stop()
            self._since = self._clock.seconds()
            self._resetOrWait(_SHORTEST)

    def stop(self) -> None:
        """Stop waiting."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _begin(self) -> bool:
        begun, self.begun = self.begun, True
        if not begun:
            self._detach()
        setReason(self._transport, "fault")
        return not begun

    def _later(self, delay: float, call: Any, *args: Any) -> None:
        def due() -> None:
            self._timer = None
            call(*args)

        self._timer = self._clock.callLater(delay, due)

    def _lingered(self) -> None:
        left = unacknowledgedBytes(self._transport)
        if left and left != self._left:
            self._left = left
            self._later(LINGER, self._lingered)
        elif left:
            bottomTransport(self._transport).abortConnection()
        else:
            self._beneath.loseConnection()

    def _resetOrWait(self, delay: float) -> None:
        left = _waiting(self._transport)
        now = self._clock.seconds()
        if left != self._left:
            self._left, self._since = left, now
        if not left or now - self._since >= LINGER:
            bottomTransport(self._transport).abortConnection()  # TLS would say goodbye before
        else:
            self._later(delay, self._resetOrWait, min(2 * delay, _LONGEST))


def _waiting(transport: Any) -> int:
    """Count what is underway, with what TLS still holds."""
    aggregator = getattr(transport, "_aggregator", None)
    if aggregator is not None:
        aggregator.flush()
    held = sum(map(len, getattr(transport, "_appSendBuffer", ())))
    return unacknowledgedBytes(transport) + held
