"""The gate of one listener: who has come in by it, and has not finished a handshake yet."""

from __future__ import annotations

from typing import Any, Protocol

from tcplab.policies.peers import peerBehind
from tcplab.reactor.port import Listener


class Hall(Protocol):
    """
    What is behind the gates of several listeners.

    :ivar maxPerPeer: ``None`` if nobody has to know who comes from where.
    """

    maxPerPeer: int | None

    def refusal(self, address: Any, gate: Gate) -> bytes | None: ...

    def entered(self, peer: str | None, slow: bool) -> None: ...

    def finished(self) -> None: ...

    def left(self, peer: str | None) -> None: ...


class Gate:
    """
    What one listener asks and tells.

    :ivar unfinished: the transports that are in a handshake; who came first stands first.
    :ivar slow: there are handshakes here. Where there are none, each is finished before the next.
    """

    def __init__(self, hall: Hall, listener: Listener) -> None:
        self.unfinished: dict[Any, None] = {}
        self.slow = False
        self._hall = hall
        self._listener = listener
        self._reasons: set[str] = set()
        self._dropped: set[Any] = set()
        # Remembered, not asked again at the end: a proxy may tell meanwhile who a peer is.
        self._peers: dict[Any, str] = {}

    def shut(self, reason: str, shut: bool) -> None:
        """Accept nobody for this reason, or no longer for it."""
        if shut and reason not in self._reasons:
            self._reasons.add(reason)
            self._listener.suspend(reason)
        elif not shut and reason in self._reasons:
            self._reasons.remove(reason)
            self._listener.resume(reason)

    def leave(self) -> None:
        """Leave the listener to itself."""
        self._listener.guards.remove(self)
        for reason in list(self._reasons):
            self.shut(reason, False)

    def drop(self, transport: Any) -> None:
        """Put out somebody who has not finished: from now on it takes nobody's place."""
        del self.unfinished[transport]
        self._dropped.add(transport)
        self._left(transport)
        transport.because("handshake-timeout")
        transport.abortConnection()

    # What the listener asks and tells

    def admit(self, address: Any) -> bytes | None:
        self.slow = self.slow or bool(self.unfinished)
        return self._hall.refusal(address, self)

    def connectionAccepted(self, transport: Any) -> None:
        if not transport.opened:
            self.slow = self.slow or bool(self.unfinished)  # those who were here before us
            self.unfinished[transport] = None
        peer = None
        if self._hall.maxPerPeer is not None:
            peer = peerBehind(transport)
            if peer is not None:
                self._peers[transport] = peer
        self._hall.entered(peer, self.slow)

    def connectionOpened(self, transport: Any) -> None:
        if transport in self.unfinished:
            del self.unfinished[transport]
            if self.slow:
                self._hall.finished()

    def connectionGone(self, transport: Any) -> None:
        if transport in self._dropped:
            self._dropped.remove(transport)
        else:
            self.unfinished.pop(transport, None)
            self._left(transport)

    def _left(self, transport: Any) -> None:
        self._hall.left(self._peers.pop(transport, None))
