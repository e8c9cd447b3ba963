"""A protocol with good manners: flow control, half-close honoured, a polite end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from tcplab.protocols.machinery import Machinery
from tcplab.protocols.politeend import leave
from tcplab.reactor.beneath import because, lowest
from tcplab.wire.framing import Stream


class Conversation(Machinery):
    """
    What a peer says: subclass it, say what you are told in ``messageReceived``.

    The settings below are class attributes; a `ConversationFactory` overrides them for what it
    builds. All hooks are optional, and none needs ``super()``. An exception in a hook is logged
    once and aborts this connection, and no other.

    :cvar greeting: said first, framed, once TLS is through.
    :cvar framing: cuts the stream into messages; a class of `tcplab.wire.framing`.
    :cvar lingerTimeout: seconds a peer has to finish after we have.
    :cvar maxUnsent: bytes that may wait for a peer that does not read; to write more then aborts.
    :cvar clock: for the deadlines; ``None`` means the reactor of the connection.
    """

    greeting: bytes = b""
    framing: Any = Stream
    lingerTimeout: float = 2.0  # a round trip is well under a second; nginx lingers for 5
    maxUnsent: int = 2**20
    clock: IReactorTime | None = None

    # The hooks

    def connectionMade(self) -> None:
        """A peer is here and has been greeted; with TLS, after the handshake."""

    def messageReceived(self, message: bytes) -> None:
        """One whole message came, without its delimiter; with `Stream`, whatever came."""

    def readConnectionLost(self) -> None:
        """The peer has finished and every message was delivered; we may still speak."""
        self.hangUp()

    def connectionDraining(self) -> None:
        """
        The server wants to end: finish what is in hand.

        A framed conversation hangs up, after the message that the peer is in the middle of; a
        stream has none, and hangs up at the peer's end. Both do after ``lingerTimeout`` seconds of
        silence.
        """
        if isinstance(self.framing, Stream):
            self._end.afterSilence()
        elif self.framing.midway:
            self._end.afterMessage()
        else:
            self.hangUp()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is over; not called if ``connectionMade`` was not."""

    @classmethod
    def checkSettings(cls, settings: Mapping[str, Any]) -> None:
        """
        Refuse settings that make no sense; asked by the factory, once.

        :param settings: all of them, by name.
        :raises TypeError: they make none; the text is one line.
        """

    @classmethod
    def checkListening(cls, settings: Mapping[str, Any], host: IAddress) -> None:
        """
        Refuse to be served there; asked for each port, once it listens.

        :raises ValueError: it must not be; the text is one line.
        """

    # What a conversation does

    def send(self, message: bytes) -> None:
        """
        Say one message, in this conversation's framing.

        :raises FramingError: the framing cannot say it (a newline within a line, say).
        """
        if self._straight is self.framing:
            self.raw.write(message)
        else:
            self._say(self.framing.frame(message))

    def write(self, data: bytes) -> None:
        """Say these bytes as they are. After ``hangUp`` they are dropped."""
        self._say(data)

    def _say(self, data: bytes) -> None:
        if self.flow.counting and self.flow.overfull(len(data), self.maxUnsent):
            self.abort("unread")
        else:
            self.raw.write(data)

    def hangUp(self) -> None:
        """
        End politely: send what was written, finish, and let the peer finish.

        What the peer still says is read and dropped, so that no reset destroys our last words on
        their way. A peer that has not finished ``lingerTimeout`` seconds after us is aborted.
        """
        if self.ending:
            return
        if self.peerFinished and self.begun and self._politeEnd is None:
            self.ending = True
            leave(self)
        else:
            self._end.hangUp()

    def abort(self, why: str | None = None) -> None:
        """Reset the connection; what was not sent is dropped. ``why`` stands in the log."""
        if why is not None:
            because(self.transport, why)
        self.transport.abortConnection()

    def report(self, message: bytes) -> None:
        """
        Tell the server's observers (the log) what the peer said.

        :raises TypeError: these are no bytes.
        """
        if not isinstance(message, bytes):
            raise TypeError(f"report() takes bytes, not {type(message).__name__}")
        tell = getattr(lowest(self.transport), "messageReported", None)
        if tell is not None:
            tell(message)

    @property
    def peer(self) -> IAddress:
        """Who is at the other end."""
        return self.transport.getPeer()  # type: ignore[no-any-return]

    @property
    def writable(self) -> bool:
        """Whether the peer keeps up: what is written now leaves soon."""
        return not self.flow.congested

    def whenFlushed(self) -> Deferred[None]:
        """
        Fire once the peer has taken enough that it is time to write more; at once if it has.

        Up to 64 KiB, and what the kernel holds, may still be on its way. It fails with the reason
        when the connection is lost.
        """
        return self.flow.whenFlushed()
