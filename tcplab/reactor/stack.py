"""What lies beneath a protocol's transport, through TLS and any other wrapper."""

from __future__ import annotations

import fcntl
import select
import struct
import termios
from typing import Any

from twisted.protocols.tls import TLSMemoryBIOProtocol

from tcplab.reactor.coalescing import CoalescingTransport, spliceOf
from tcplab.reactor.tls import HalfClosingTLS


def bottomTransport(transport: Any) -> Any:
    """Return the transport that owns the socket, below all wrappers."""
    if isinstance(transport, CoalescingTransport):
        return transport  # one of those that do, and that nearly all speak through
    while (below := getattr(transport, "transport", None)) is not None:
        transport = below
    return transport


def topProtocol(transport: Any) -> Any:
    """Return the protocol that speaks through a transport, above all wrappers, or ``None``."""
    above = getattr(transport, "wrappedProtocol", None) or getattr(transport, "protocol", None)
    while (wrapped := getattr(above, "wrappedProtocol", None)) is not None:
        above = wrapped
    return above


def removeEndpointWrapper(transport: Any, protocol: Any) -> None:
    """
    Take out the wrapper that a client endpoint leaves between a transport and a protocol.

    It has done its work once we are connected, and of several interfaces that the protocol
    provides it passes on only the last: half-close was lost (Twisted 26.10).
    """
    above = getattr(transport, "protocol", None)
    if getattr(above, "_wrappedProtocol", None) is protocol:
        transport.protocol = protocol


def setReason(transport: Any, why: str) -> None:
    """Say why we are about to end this connection, to a transport that can remember it."""
    remember = getattr(bottomTransport(transport), "because", None)
    if remember is not None:
        remember(why)


def bufferedBytes(transport: Any) -> int | None:
    """Count the bytes that wait in this process to be sent; ``None`` where it can't be told."""
    bottom = bottomTransport(transport)
    try:
        held = len(getattr(bottom, "_held", b"")) + _heldByFaults(transport)
        return len(bottom.dataBuffer) - bottom.offset + bottom._tempDataLen + held  # type: ignore[no-any-return]
    except AttributeError:
        return None


def _heldByFaults(transport: Any) -> int:
    held = 0
    while transport is not None:
        held += getattr(spliceOf(transport), "held", 0)
        transport = getattr(transport, "transport", None)
    return held


def unacknowledgedBytes(transport: Any) -> int:
    """Count the bytes that the peer's kernel has not taken yet: here, in our kernel, on the way."""
    waiting = bufferedBytes(transport) or 0
    try:
        queued = fcntl.ioctl(bottomTransport(transport).socket, termios.TIOCOUTQ, b"\0\0\0\0")
    except (AttributeError, OSError, TypeError, ValueError):
        return waiting  # no socket, or none of the kernel's
    return waiting + int(struct.unpack("i", queued)[0])


def isReset(transport: Any) -> bool:
    """Tell whether the peer has reset it: while nothing is read, nothing else does."""
    asked = select.poll()
    try:
        asked.register(bottomTransport(transport).socket, 0)
        return any(event & select.POLLERR for _, event in asked.poll(0))
    except (AttributeError, OSError, TypeError, ValueError):
        return False  # no socket, or none of the kernel's


def reactorOf(transport: Any) -> Any:
    """Return the reactor that runs a transport; the global one where it does not say."""
    reactor = getattr(bottomTransport(transport), "reactor", None)
    if reactor is None:
        from twisted.internet import reactor as reactor
    return reactor


def canHalfClose(transport: Any) -> bool:
    """
    Tell whether ``loseWriteConnection`` does on this transport what it says.

    Twisted's own TLS passes the call to the socket beneath it: what TLS still holds would be lost.
    """
    while transport is not None:
        if isinstance(transport, TLSMemoryBIOProtocol):
            return isinstance(transport, HalfClosingTLS)
        if getattr(transport, "TLS", False):  # stock startTLS() on a plain transport
            return False
        if hasattr(type(transport), "loseWriteConnection"):
            return True
        transport = getattr(transport, "transport", None)
    return False


def isTLS(transport: Any) -> bool:
    """Tell whether there is TLS anywhere beneath."""
    if isinstance(transport, CoalescingTransport):
        return bool(getattr(transport, "TLS", False))
    while transport is not None:
        if isinstance(transport, TLSMemoryBIOProtocol) or getattr(transport, "TLS", False):
            return True
        transport = getattr(transport, "transport", None)
    return False
