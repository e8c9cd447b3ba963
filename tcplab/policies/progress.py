"""Progress: what a peer has taken of the bytes that were sent to it, and what waits for it."""

from __future__ import annotations

from collections.abc import Iterable

from OpenSSL.SSL import SENT_SHUTDOWN, Connection
from twisted.internet import unix
from twisted.protocols.tls import TLSMemoryBIOProtocol

from tcplab.listener.servertransport import ObservedTransport
from tcplab.reactor.stack import bufferedBytes, unacknowledgedBytes


class Progress:
    """
    What connections have sent, measured from outside: no hook is called for a byte.

    Bytes wait until TCP has them acknowledged: in this process, in the kernel and on the way.
    **Limit:** bytes that the peer's kernel has taken may not have been read by the peer. On a Unix
    socket both kernels are one, which has taken all that this process does not hold.
    """

    def __init__(self) -> None:
        # By transport, the bytes sent when nothing waited. While the number is the same,
        # nothing waits. A query of the kernel takes longer than all the rest.
        self._idleAt: dict[ObservedTransport, int] = {}

    def mayHavePending(self, transports: Iterable[ObservedTransport]) -> list[ObservedTransport]:
        """Return those for which bytes may wait; all are among them that are in a handshake."""
        idleAt = self._idleAt.get
        return [each for each in transports if idleAt(each) != each.sent]

    def measure(self, transport: ObservedTransport) -> tuple[int, int]:
        """
        Return how many bytes the peer has taken so far, and how many wait for it.

        A close_notify of TLS counts as one byte that waits until it is answered.
        """
        sent = transport.sent
        local = isinstance(transport, unix.Server)
        buffered = bufferedBytes(transport) or 0
        queued = 0 if local else unacknowledgedBytes(transport) - buffered
        waiting = queued + buffered or int(_closeNotifyPending(transport))
        if transport.established and not (waiting or local):  # a Unix socket may be full already
            self._idleAt[transport] = sent
        return sent - queued, waiting

    def prune(self) -> None:
        """Forget closed connections."""
        self._idleAt = {each: sent for each, sent in self._idleAt.items() if each.connected}


def _closeNotifyPending(transport: ObservedTransport) -> bool:
    """
    Return whether TLS has closed both directions, and the peer has not answered.

    Twisted's TLS waits for the answer without limit (its issue 7926); RFC 8446, 6.1, does not
    require one.
    """
    above = transport.protocol
    while above is not None and not isinstance(above, TLSMemoryBIOProtocol):
        above = getattr(above, "wrappedProtocol", None)
    if above is None or not above.disconnecting:
        return False
    connection = above.getHandle()
    return isinstance(connection, Connection) and bool(connection.get_shutdown() & SENT_SHUTDOWN)
