"""How far the peer of a connection has come with what was sent to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from OpenSSL.SSL import SENT_SHUTDOWN
from twisted.internet import unix
from twisted.protocols.tls import TLSMemoryBIOProtocol

from tcplab.reactor.stack import bufferedBytes, unacknowledgedBytes


class Progress:
    """
    Look from outside at what connections have sent, without a hook in the way of a byte.

    Bytes that wait are those that TCP has not had acknowledged: in this process, in our kernel and
    on the way. What the peer's kernel has taken it may not have read yet; nobody here can know.
    On a Unix socket both kernels are one, which has taken all that this process does not hold.
    """

    def __init__(self) -> None:
        # Nothing waited when so much had been sent. As long as nothing more is, nothing does, and
        # the kernel need not be asked: it takes longer than all the rest.
        self._quiet: dict[Any, int] = {}

    def moving(self, transports: Iterable[Any]) -> list[Any]:
        """Choose those for whom something may wait; all are among them that are not opened yet."""
        quiet = self._quiet.get
        return [each for each in transports if quiet(each) != each.sent]

    def of(self, transport: Any) -> tuple[int, int]:
        """
        Say how many bytes the peer has taken so far, and how many wait for it.

        TLS's last word counts as one byte that waits until it is answered.
        """
        sent: int = transport.sent
        local = isinstance(transport, unix.Server)
        held = bufferedBytes(transport) or 0
        queued = 0 if local else unacknowledgedBytes(transport) - held
        waiting = queued + held or int(_closeNotifyPending(transport))
        if transport.established and not (waiting or local):  # a Unix socket may be full already
            self._quiet[transport] = sent
        return sent - queued, waiting

    def forgetGone(self) -> None:
        """Forget the connections that are gone."""
        self._quiet = {each: sent for each, sent in self._quiet.items() if each.connected}


def _closeNotifyPending(transport: Any) -> bool:
    """
    Tell whether TLS has ended both directions, and the peer has not answered.

    Twisted's TLS waits for that, and for ever (its issue 7926); RFC 8446, 6.1, does not ask for it.
    """
    above = transport.protocol
    while above is not None and not isinstance(above, TLSMemoryBIOProtocol):
        above = getattr(above, "wrappedProtocol", None)
    if above is None or not above.disconnecting:
        return False
    connection: Any = above.getHandle()
    return bool(connection is not None and connection.get_shutdown() & SENT_SHUTDOWN)
