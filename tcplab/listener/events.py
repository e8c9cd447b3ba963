"""The events of connections, and the interface of their observers."""

from __future__ import annotations

from typing import Literal, NamedTuple

from twisted.internet.interfaces import IAddress, IReactorTime

from tcplab.wire.proxytlvs import TLV
from tcplab.wire.reasons import Reason


class Connection(NamedTuple):
    """
    An accepted connection, identified by its listener and number.

    :ivar listener: the listener's name, as in the port file.
    :ivar number: counted from 1 for each listener.
    :ivar prefix: the tag of its log lines: the listener's name, the number and the peer's host.
    :ivar peer: the address of the peer. An IPv4 peer of an IPv6 socket has an IPv4 address.
    :ivar host: the local address.
    :ivar local: a proxy made it for itself, as for a health check (PROXY ``LOCAL``).
    :ivar tlvs: what else the PROXY header of version 2 says.
    """

    listener: str
    number: int
    prefix: str
    peer: IAddress
    host: IAddress
    local: bool = False
    tlvs: tuple[TLV, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Connection) and self[:2] == other[:2]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self[:2])


class Ending(NamedTuple):
    """
    How a connection ended.

    :ivar by: the side that ended first.
    :ivar how: what was seen on the wire: an orderly end, a reset, or a peer that went silent.
    :ivar why: our own cause; ``None`` for none.
    :ivar errno: the system's error number; ``None`` for none.
    :ivar received: bytes taken from the kernel (with TLS: ciphertext).
    :ivar sent: bytes that the kernel took. **Limit:** the peer may not have read them.
    :ivar seconds: the duration, from accept.
    :ivar detail: more about our own cause, printable: of a failure of TLS, OpenSSL's reason.
    """

    by: Literal["peer", "server"]
    how: Literal["fin", "reset", "timeout"]
    why: Reason | None
    errno: int | None
    received: int
    sent: int
    seconds: float
    detail: str = ""


class Observer:
    """
    All hooks of an observer. Each is optional, and so is this base class.

    >>> class Counter(Observer):
    ...     opened = 0
    ...     def connectionOpened(self, connection):
    ...         self.opened += 1

    A hook is called from the transport while bytes wait: it must not block.
    """

    def useClock(self, clock: IReactorTime) -> None:
        """Keep the time by this clock if there is no other: the reactor of a listener's port."""

    def connectionOpened(self, connection: Connection) -> None:
        """A connection is open, after any PROXY header and TLS handshake."""

    def messageReported(self, connection: Connection, message: bytes) -> None:
        """A behaviour received a message worth a report; its bytes are the peer's, unescaped."""

    def faultHit(self, connection: Connection | None, text: str) -> None:
        """
        A fault hit this connection; ``None``: a listener, before there is one.

        :param text: the fault, and where it hit, as in ``reset_peer at=1024``.
        """

    def connectionClosed(self, connection: Connection, ending: Ending) -> None:
        """
        A connection has ended.

        It was never opened if its handshake failed: ``ending.why`` is then `Reason.HANDSHAKE`.
        """
