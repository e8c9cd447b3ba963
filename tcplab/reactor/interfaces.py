"""The interfaces of transports and reactors, for the type checker."""

from __future__ import annotations

from types import FrameType
from typing import Protocol

from twisted.internet.interfaces import (
    IAddress,
    IOpenSSLClientConnectionCreator,
    IOpenSSLContextFactory,
    IOpenSSLServerConnectionCreator,
    IReactorCore,
    IReactorFDSet,
    IReactorFromThreads,
    IReactorProcess,
    IReactorSocket,
    IReactorSSL,
    IReactorTCP,
    IReactorTime,
    IReactorUNIX,
)

#: The configuration of TLS, in any of the forms that Twisted accepts.
ContextFactory = (
    IOpenSSLContextFactory | IOpenSSLClientConnectionCreator | IOpenSSLServerConnectionCreator
)


class ContextSource(Protocol):
    """What ``CertificateOptions`` is for a type checker that cannot read Twisted's interfaces."""

    def getContext(self) -> object:
        """Return an ``OpenSSL.SSL.Context``."""


class StreamTransport(Protocol):
    """
    What protocols here use of a transport: Twisted's TCP, Unix and TLS transports all have it.

    ``loseWriteConnection`` is for where `tcplab.reactor.stack.canHalfClose` holds.
    """

    def write(self, data: bytes, /) -> None:
        """Send bytes."""

    def loseConnection(self) -> None:
        """Close once all written bytes have been sent."""

    def loseWriteConnection(self) -> None:
        """Close the sending direction once all written bytes have been sent."""

    def abortConnection(self) -> None:
        """Reset the connection; what was not sent is dropped."""

    def pauseProducing(self) -> None:
        """Stop reading."""

    def resumeProducing(self) -> None:
        """Read again."""

    def registerProducer(self, producer: object, streaming: bool, /) -> None:
        """Pause and resume a producer as the buffer fills and empties."""

    def unregisterProducer(self) -> None:
        """Forget the producer."""

    def getPeer(self) -> IAddress:
        """Return the address of the peer."""

    def getHost(self) -> IAddress:
        """Return the local address."""


class ConnectionFilter(Protocol):
    """What stands between a transport and its protocol, as a filter of faults does."""

    @property
    def wrappedProtocol(self) -> object:
        """The protocol above it."""

    @property
    def held(self) -> int:
        """The bytes that it holds on their way to the transport."""


class IReactor(
    IReactorCore,
    IReactorTime,
    IReactorFDSet,
    IReactorFromThreads,
    IReactorProcess,
    IReactorSocket,
    IReactorSSL,
    IReactorTCP,
    IReactorUNIX,
):
    """
    All that Twisted's reactors provide on Unix.

    **Limit:** no reactor declares it, so ``providedBy`` is always false.
    """

    def sigInt(number: int, frame: FrameType | None = None) -> None:
        """Stop upon SIGINT; its handler unless another was set."""

    def sigTerm(number: int, frame: FrameType | None = None) -> None:
        """Stop upon SIGTERM; its handler unless another was set."""
