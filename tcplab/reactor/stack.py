"""
The stack of a connection: from a protocol down to its socket, through TLS and any other wrapper.

A wrapper has the transport below it as ``transport``, and the protocol above it as
``wrappedProtocol``, as those of ``twisted.protocols.policies``. Any other transport is the bottom.
"""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import termios
from typing import NamedTuple, cast

from twisted.internet.abstract import FileDescriptor
from twisted.internet.endpoints import _WrappingProtocol
from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime
from twisted.internet.tcp import Connection
from twisted.protocols.tls import TLSMemoryBIOProtocol

from tcplab.reactor.coalescing import CoalescingTransport, spliceOf
from tcplab.reactor.interfaces import StreamTransport
from tcplab.wire.proxyheader import ProxyHeader
from tcplab.wire.reasons import Reason


def bottomTransport(transport: object) -> StreamTransport:
    """Return the transport below all wrappers; most often it owns a socket."""
    while not isinstance(transport, FileDescriptor) and (below := _below(transport)) is not None:
        transport = below
    return cast(StreamTransport, transport)


def socketTransport(transport: object) -> Connection | None:
    """Return the transport below all wrappers; ``None``: it is not one of Twisted's own sockets."""
    bottom: object = bottomTransport(transport)
    return bottom if isinstance(bottom, Connection) else None


def _below(transport: object) -> object:
    return getattr(transport, "transport", None)


def topProtocol(transport: object) -> object:
    """Return the protocol that uses a transport, above all wrappers; ``None``: it has none."""
    above = getattr(transport, "wrappedProtocol", None) or getattr(transport, "protocol", None)
    while (wrapped := getattr(above, "wrappedProtocol", None)) is not None:
        above = wrapped
    return above


def removeEndpointWrapper(transport: object, protocol: IProtocol) -> None:
    """
    Remove the wrapper that a client endpoint leaves between a transport and a protocol.

    Its only task is done once the connection is made. Of several interfaces that the protocol
    provides it passes on only the last: half-close is lost (Twisted 26.10).
    """
    above = transport.protocol if isinstance(transport, Connection) else None
    if isinstance(above, _WrappingProtocol) and above._wrappedProtocol is protocol:
        transport.protocol = protocol


def reportingTransport(transport: object) -> CoalescingTransport | None:
    """Return the transport below all wrappers if it keeps an account of its connection."""
    bottom = bottomTransport(transport)
    return bottom if isinstance(bottom, CoalescingTransport) else None


def keepUrgentData(transport: object) -> None:
    """Leave urgent data in the stream (RFC 6093, 6), where the kernel would put it beside."""
    bottom = socketTransport(transport)
    if bottom is not None:
        bottom.socket.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)


def setReason(transport: object, reason: Reason, detail: str = "") -> None:
    """Record why this side is about to end a connection, on a transport that reports it."""
    bottom = bottomTransport(transport)
    if isinstance(bottom, CoalescingTransport):
        bottom.setReason(reason, detail)


def bufferedBytes(transport: object) -> int | None:
    """Count the bytes that this process has still to send; ``None``: the transport hides them."""
    bottom: object = bottomTransport(transport)
    if not isinstance(bottom, FileDescriptor):
        return None
    held = len(bottom._held) if isinstance(bottom, CoalescingTransport) else 0
    waiting = len(bottom.dataBuffer) - bottom.offset + bottom._tempDataLen
    return waiting + held + _heldByFaults(transport)


def _heldByFaults(transport: object) -> int:
    held = 0
    while transport is not None:
        splice = spliceOf(transport)
        held += 0 if splice is None else splice.held
        transport = None if isinstance(transport, FileDescriptor) else _below(transport)
    return held


def unacknowledgedBytes(transport: object) -> int:
    """Count the bytes, in this process and in our kernel, that the peer has not acknowledged."""
    waiting = bufferedBytes(transport) or 0
    bottom: object = bottomTransport(transport)
    if not isinstance(bottom, Connection):
        return waiting
    try:
        queued = fcntl.ioctl(bottom.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError):
        return waiting  # closed, or no socket of the kernel's
    return waiting + int(struct.unpack("i", queued)[0])


def isReset(transport: object) -> bool:
    """Tell whether the peer has reset a connection; no event reports it while nothing is read."""
    bottom = socketTransport(transport)
    fd = -1 if bottom is None else bottom.fileno()
    if fd < 0:
        return False  # closed, or no socket of the kernel's
    poll = select.poll()
    poll.register(fd, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def reactorOf(transport: object) -> IReactorTime:
    """
    Return the reactor of a transport.

    :raises RuntimeError: the transport names none, as ``StringTransport`` does not.
    """
    bottom = bottomTransport(transport)
    named = getattr(bottom, "_reader", bottom)  # that of a StandardIO
    reactor = getattr(named, "reactor", None)
    if reactor is None:
        raise RuntimeError(f"{type(bottom).__name__} names no reactor: give the protocol a clock")
    return cast(IReactorTime, reactor)


def canHalfClose(transport: object) -> bool:
    """
    Tell whether ``loseWriteConnection`` of this transport is safe.

    Twisted's own TLS passes the call to the socket beneath it: what TLS still holds would be lost.
    """
    while transport is not None:
        if isinstance(transport, Connection):
            return not transport.TLS  # Twisted's own, by startTLS() on a plain transport
        if hasattr(type(transport), "loseWriteConnection"):
            return True
        if isinstance(transport, TLSMemoryBIOProtocol):
            return False
        transport = _below(transport)
    return False


def isTLS(transport: object) -> bool:
    """Tell whether there is TLS anywhere below a protocol."""
    while transport is not None:
        if isinstance(transport, Connection):
            return transport.TLS
        if isinstance(transport, TLSMemoryBIOProtocol):
            return True
        transport = _below(transport)
    return False


class Proxied(NamedTuple):
    """
    The PROXY header that the other end of a transport has sent.

    :ivar proxy: its address; ``None``: there is none.
    :ivar header: its PROXY header.
    :ivar local: the connection is the proxy's own (``LOCAL``).
    """

    proxy: IAddress | None
    header: ProxyHeader | None
    local: bool


def proxied(transport: object) -> Proxied:
    """Return the PROXY header of a connection, which its lowest transport has."""
    names = ("proxy", "announced", "local")
    proxy, header, local = (getattr(transport, each, None) for each in names)
    return Proxied(proxy, header, bool(local))
