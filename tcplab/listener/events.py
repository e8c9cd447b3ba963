"""What observers are told of a connection, and the interface of an observer."""

from __future__ import annotations

from typing import Literal, NamedTuple

from twisted.internet.interfaces import IAddress

from tcplab.wire.reasons import Reason


class Connection(NamedTuple):
    """
    One connection that a listener accepted; it is known by its listener and number.

    :ivar listener: the listener's name, as in the port file.
    :ivar number: counted from 1 for each listener.
    :ivar prefix: what stands in brackets before its log lines: behaviour, number and host.
    :ivar peer: who connected. An IPv4 peer of an IPv6 socket is an IPv4 address.
    :ivar host: our own address.
    """

    listener: str
    number: int
    prefix: str
    peer: IAddress
    host: IAddress

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Connection) and self[:2] == other[:2]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self[:2])


class Ending(NamedTuple):
    """
    How a connection ended.

    :ivar by: who ended first.
    :ivar how: what was seen on the wire: an orderly end, a reset, or a peer that went silent.
    :ivar why: our own cause, by the name of its option where there is one; ``None`` for none.
    :ivar errno: the system's error number, where there was one.
    :ivar received: bytes taken from the kernel (with TLS: ciphertext).
    :ivar sent: bytes the kernel took. Whether the peer read them, no one can know.
    :ivar seconds: how long it lasted, from accept.
    """

    by: Literal["peer", "server"]
    how: Literal["fin", "reset", "timeout"]
    why: Reason | None
    errno: int | None
    received: int
    sent: int
    seconds: float


class Observer:
    """
    All that an observer may be told; each method is optional, and so is this class.

    An observer is called from the transport while bytes wait: it must not block.
    """

    def connectionOpened(self, connection: Connection) -> None:
        """A peer is here, after any PROXY header and TLS handshake."""

    def messageReported(self, connection: Connection, message: bytes) -> None:
        """A behaviour found this message worth telling; its text is the peer's, unescaped."""

    def faultHit(self, connection: Connection | None, text: str) -> None:
        """
        A fault hit this connection; ``None``: a listener, before there is one.

        :param text: which one, and where, as in ``reset_peer at=1024``.
        """

    def connectionClosed(self, connection: Connection, ending: Ending) -> None:
        """
        A connection is over.

        It was never opened if its handshake failed: ``ending.why`` is then `Reason.HANDSHAKE`.
        """
